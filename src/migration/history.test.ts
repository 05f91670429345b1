import test from 'ava';
import { belongs, historyEntry, historyEntrySchema } from './history.ts';
import { newMigration, reduce } from './machine.ts';
import { unmeasured } from './record.ts';

const queued = newMigration(
  {
    ...{
      id: '7',
      container: '42.1',
      job: 42,
      requestedBy: { uid: 0, name: 'root' },
      owner: { uid: 1000, name: 'alice' },
    },
    request: { container: '42.1', to: 'n3', group: 'e4' },
  },
  1000,
);
const started = reduce(queued, { type: 'preflight-started', at: 1500, source: 'n2', epoch: 1 });
const error = { code: 'E_LINK', message: 'the link broke' };
const ended = reduce(started, { type: 'rolled-back', at: 3000, error, result: { ...unmeasured, stallMs: 12 } });

test('a move belongs to the time in which it was queued or under way', (t) => {
  t.true(belongs(ended, { since: 0, until: 1000 }));
  t.true(belongs(ended, { since: 3000, until: 9000 }));
  t.false(belongs(ended, { since: 3001, until: 9000 }));
  t.false(belongs(ended, { since: 0, until: 999 }));
  t.true(belongs(started, { since: 1_000_000, until: 1_000_001 }), 'it has not ended');
});

test('jobs, containers, nodes, users and states', (t) => {
  const time = { since: 0, until: 9000 };
  t.true(belongs(ended, { ...time, jobs: ['42'] }));
  t.true(belongs(ended, { ...time, jobs: ['9', '42.1'] }));
  t.false(belongs(ended, { ...time, jobs: ['42.0', '4'] }));
  t.true(belongs(ended, { ...time, nodes: new Set(['n3']) }), 'where it was to go');
  t.true(belongs(ended, { ...time, nodes: new Set(['n2']) }));
  t.false(belongs(ended, { ...time, nodes: new Set(['n1']) }));
  t.true(belongs(ended, { ...time, users: ['alice'] }));
  t.false(belongs(ended, { ...time, users: ['root'] }));
  t.false(belongs(ended, { ...time, states: ['completed'] }));
});

test('an entry is flat and tells what happened', (t) => {
  const entry = historyEntrySchema.parse(historyEntry(ended));
  t.like(entry, {
    ...{ id: '7', user: 'alice', by: 'root', group: 'e4', state: 'rolled-back', source: 'n2', target: 'n3' },
    ...{ submittedAt: 1000, startedAt: 1500, endedAt: 3000, queuedMs: 500, totalMs: 2000, stallMs: 12 },
    ...{ errorCode: 'E_LINK', reason: 'the link broke', downtimeMs: null },
  });
});
