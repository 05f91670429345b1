import type { MigrationEvent } from '../migration/machine.ts';

/** Writes an event into the record of the migration that is driven. */
export type Apply = (event: MigrationEvent) => Promise<void>;

/** Tells in the record what is waited for. */
export const waiting = (apply: Apply) => (reason: string | null) => apply({ type: 'waiting', at: Date.now(), reason });
