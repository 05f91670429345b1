import type { MigrationEvent } from '../migration/machine.ts';
import type { MigrationRecord } from '../migration/record.ts';

/**
 * Writes events into the record of the migration that is driven, all in one write.
 * @returns the record as it was written: whoever called the move off before that is seen in it. Without events: as it
 * was written last.
 */
export type Apply = (...events: MigrationEvent[]) => Promise<MigrationRecord>;

/** Tells in the record what is waited for. */
export const waiting = (apply: Apply) => async (reason: string | null) => {
  await apply({ type: 'waiting', at: Date.now(), reason });
};
