import test from 'ava';
import { jobsInTurn } from './balance-input.ts';
import { heldUpShare } from './held-up.ts';

test('what a limit of its own takes does not count, what a hypervisor takes does', (t) => {
  t.is(heldUpShare([1, 0.5, 0, null], 0), 0.5);
  t.is(heldUpShare([1, 0.5, 0.5, null], 0), 0);
  t.is(heldUpShare([1, 0.2, 0.9, null], 0), 0);
  t.is(heldUpShare([1, 0.5, 0, null], 0.5), 0.75);
  t.is(heldUpShare([1, 0, 0, null], 1), 1);
});

test('where many jobs are held up each has its turn, the worst first', (t) => {
  const containers = Array.from({ length: 100 }, (_, index) => ({ job: index + 1, heldUp: index / 100 }));
  const memory = { turns: new Map<number, number>(), look: 0 };
  const first = jobsInTurn(containers, memory);
  t.is(first.size, 32);
  t.true(first.has(100) && !first.has(1));
  const seen = new Set([...first, ...jobsInTurn(containers, memory), ...jobsInTurn(containers, memory)]);
  t.is(seen.size, 96);
  for (const job of jobsInTurn(containers, memory)) seen.add(job);
  t.is(seen.size, 100);
  jobsInTurn([{ job: 7, heldUp: 1 }], memory);
  t.deepEqual([...memory.turns.keys()], [7]);
});
