import test from 'ava';
import { driftAcross, parseDrift } from './drift.ts';

const line = (rank: number, offset: number, error: number, seconds: number) =>
  `drift rank=${rank} offset_ns=${offset} error_ns=${error} realtime_ns=${seconds}000000000`;

const output = [
  'NPB CG class=A ranks=3 repeat=1000000',
  line(1, 2_000_000, 5000, 100),
  line(2, 7_000_000, 5000, 100),
  'repeat 1',
  line(1, 2_900_000, 400_000, 101),
  line(1, 2_001_000, 6000, 102),
  line(1, 2_500_000, 500_000, 103),
  line(1, 1_990_000, 5000, 105),
  line(1, 2_700_000, 900_000, 106),
].join('\n');

test('the samples with the smallest error on each side of the move are compared with the first', (t) => {
  const drift = driftAcross(parseDrift(output), 1, 104_000);
  t.deepEqual(drift, { beforeMs: 0.001, afterMs: -0.01, measuredToMs: 0.011 });
});

test('without a sample on both sides there is no drift', (t) => {
  t.is(driftAcross(parseDrift(output), 1, 107_000), null);
  t.is(driftAcross(parseDrift(output), 2, 100_500), null);
  t.is(driftAcross([], 1, 0), null);
});
