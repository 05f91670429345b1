import test from 'ava';
import { simulate } from '../benchmarks/fleet/simulate.ts';

test('a controller that is killed in the middle of an evacuation loses no container and moves none twice', async (t) => {
  t.timeout(300_000);
  const fleet = { nodes: 20, containers: 160, leaving: 4, containersPerJob: 8, by: 'evacuation' as const };
  const times = { rate: null, slower: 1, restMs: 500, deadlineMs: 240_000 };
  const { wrong, unmoved, moves, states, errors } = await simulate(
    { ...fleet, ...times, movesAtOnce: 64, killAfter: 5 },
    (line) => t.log(line),
  );
  t.is(moves, 32);
  t.deepEqual(wrong, [], 'one on two nodes, or elsewhere than its record says');
  t.is(unmoved, 0, JSON.stringify({ states, errors }));
});
