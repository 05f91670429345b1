import test from 'ava';
import { fairness } from '../benchmarks/fleet/fairness.ts';
import { LimitsCheck } from '../benchmarks/fleet/limits.ts';
import { simulate } from '../benchmarks/fleet/simulate.ts';

test('a controller that is killed in the middle of an evacuation loses no container and moves none twice', async (t) => {
  t.timeout(300_000);
  const fleet = { nodes: 20, containers: 160, leaving: 4, containersPerJob: 8, by: 'evacuation' as const };
  const times = { rate: null, slower: 1, patience: 1, restMs: 500, deadlineMs: 240_000 };
  const { wrong, unmoved, over, moves, states, errors } = await simulate(
    { ...fleet, ...times, movesAtOnce: 64, killAfter: 5 },
    (line) => t.log(line),
  );
  t.is(moves, 32);
  t.deepEqual(wrong, [], 'one on two nodes, or elsewhere than its record says');
  t.deepEqual(over, [], 'limits that a node saw passed');
  t.is(unmoved, 0, JSON.stringify({ states, errors }));
});

test('the simulated nodes see where a limit is passed, and a request that others pass', (t) => {
  const check = new LimitsCheck({ out: 2, in: 2, link: 1, cluster: 3 });
  check.copies('1', 'n1', 'n2');
  check.copies('2', 'n1', 'n3');
  t.deepEqual(check.over, []);
  check.copies('3', 'n1', 'n3');
  t.deepEqual(check.over, ['3 moves out of n1, of 2', '2 moves from n1 to n3, of 1']);
  check.copied('1');
  check.ended('2');
  check.copies('4', 'n4', 'n2');
  t.is(check.overCount, 2);
  check.copies('5', 'n5', 'n2');
  t.deepEqual(check.over.slice(2), ['3 moves into n2, of 2', '4 moves in all, of 3']);
  const begun = (request: number, source: string, at: number) => ({ request, source, at });
  const moves = [begun(1, 'n1', 90), begun(2, 'n1', 20), begun(3, 'n1', 30), begun(4, 'n2', 30), begun(5, 'n3', 30)];
  t.deepEqual(fairness(moves, 0), { passedOver: 2, slowest: 3 });
});
