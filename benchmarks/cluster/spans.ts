import type { MigrationRecord } from '../../src/migration/record.ts';

/** Lengths of the spans inside a switch, and how long after the freeze its points lay, milliseconds by name. */
export function spansOf(record: MigrationRecord): Record<string, number> {
  const timeline = record.result?.timeline ?? [];
  const frozen = timeline.find(({ name }) => name === 'frozen')?.at ?? 0;
  return Object.fromEntries(
    timeline.map(({ name, at, ms }) => (ms === undefined ? [`at ${name}`, Math.round(at - frozen)] : [name, ms])),
  );
}
