import test from 'ava';
import fc from 'fast-check';
import { isCancellable, isFinal, type MigrationEvent, newMigration, reduce } from './machine.ts';
import { type MigrationRecord, migrationRecordSchema, migrationStates, unmeasured } from './record.ts';

const error = { code: 'E_LINK', message: 'cut' };
const result = { ...unmeasured, outcome: 'committed' as const, downtimeMs: 1, stallMs: 1 };

function fresh(): MigrationRecord {
  return newMigration(
    { id: '1', container: '42.1', job: 42, requestedBy: { uid: 1000, name: 'alice' }, request: { container: '42.1' } },
    1000,
  );
}

const events: MigrationEvent[] = [
  { type: 'preflight-started', at: 0, source: 'n1', epoch: 1 },
  { type: 'refused', at: 0, error },
  { type: 'preparing-started', at: 0 },
  { type: 'switching-started', at: 0 },
  { type: 'switched', at: 0, result },
  { type: 'finished', at: 0 },
  { type: 'rolled-back', at: 0, error },
  { type: 'lost', at: 0, error },
  { type: 'cancel-requested', at: 0 },
  { type: 'cancelled', at: 0 },
  { type: 'waiting', at: 0, reason: 'n2' },
  { type: 'needs-operator', at: 0, error },
  { type: 'driven', at: 0, driver: 'ctl-1' },
  { type: 'resumed', at: 0 },
];

test('a normal move passes through its phases and measures them', (t) => {
  let record = fresh();
  const apply = (event: MigrationEvent) => {
    record = reduce(record, event);
  };
  apply({ type: 'preflight-started', at: 1010, source: 'n1', epoch: 3 });
  apply({ type: 'preparing-started', at: 1030 });
  apply({ type: 'switching-started', at: 1100 });
  apply({ type: 'switched', at: 1600, result });
  apply({ type: 'finished', at: 1700 });
  t.is(record.state, 'completed');
  t.is(record.totalMs, 700);
  t.deepEqual(
    record.phases.map(({ name, ms }) => [name, ms]),
    [
      ['queued', 10],
      ['preflight', 20],
      ['preparing', 70],
      ['switching', 500],
      ['finishing', 100],
      ['completed', 0],
    ],
  );
  t.true(migrationRecordSchema.safeParse(record).success);
});

test('whatever events come, a record stays valid, a final state stays final, and nothing is rolled back after the commit', (t) => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...events), { maxLength: 30 }), (sequence) => {
      let record = fresh();
      let committed = false;
      let at = 1000;
      for (const event of sequence) {
        const before = record;
        at += 10;
        try {
          record = reduce(record, { ...event, at });
        } catch {
          continue;
        }
        if (record.state !== before.state) {
          if (isFinal(before.state) && before.state !== 'needs-operator') return false;
          if (committed && ['rolled-back', 'cancelled', 'refused'].includes(record.state)) return false;
        }
        committed ||= record.state === 'finishing' || record.state === 'completed';
        if (!migrationRecordSchema.safeParse(record).success) return false;
        if (isFinal(record.state) !== (record.endedAt !== null)) return false;
      }
      return true;
    }),
  );
  t.pass();
});

test('a migration that needed an operator goes on where it gave up', (t) => {
  const start: MigrationEvent[] = [
    { type: 'preflight-started', at: 1010, source: 'n1', epoch: 3 },
    { type: 'preparing-started', at: 1030 },
    { type: 'switching-started', at: 1100 },
  ];
  const end: MigrationEvent[] = [
    { type: 'needs-operator', at: 9000, error },
    { type: 'resumed', at: 9100 },
  ];
  const run = (sequence: MigrationEvent[]) => sequence.reduce(reduce, fresh());
  t.is(run([...start, ...end]).state, 'switching');
  t.is(run([...start, { type: 'switched', at: 1600, result }, ...end]).state, 'finishing');
  t.is(run([...start, ...end]).endedAt, null);
});

test('only what has not committed can be cancelled', (t) => {
  for (const state of migrationStates) {
    t.is(isCancellable(state), ['queued', 'preflight', 'preparing', 'copying', 'switching'].includes(state), state);
  }
});
