import test from 'ava';
import fc from 'fast-check';
import { type PlannedMove, predictGroup } from './predict-group.ts';

const limits = { out: 1, in: 1, link: 1, cluster: 64 };
const planned = (
  id: string,
  predicted: { downtimeMs: number; totalMs: number; copyMs?: number } | null,
  to = 'n2',
) => ({
  id,
  plan: { source: 'n1', target: to, predicted },
});

test('one move takes what its plan predicts', (t) => {
  const one = predictGroup([planned('1', { downtimeMs: 300, totalMs: 3000, copyMs: 2000 })], limits);
  t.deepEqual(one, {
    makespanMs: 3000,
    moves: [{ id: '1', copyFromMs: 700, stopFromMs: 2700, endMs: 3000 }],
    unknown: [],
  });
});

test('two over one link: one copies while the other restores, and both are made ready at once', (t) => {
  const predicted = { downtimeMs: 300, totalMs: 3000, copyMs: 2000 };
  t.is(predictGroup([planned('1', predicted), planned('2', predicted, 'n3')], limits)?.makespanMs, 5000);
});

test('the order that was asked for is kept', (t) => {
  const long = planned('long', { downtimeMs: 100, totalMs: 5100, copyMs: 5000 });
  const short = planned('short', { downtimeMs: 400, totalMs: 600, copyMs: 200 }, 'n3');
  const first = (moves: PlannedMove[]) => predictGroup(moves, limits)?.moves[0]?.id;
  t.is(first([long, short]), 'short');
  t.is(
    first([
      { ...long, order: 'given' },
      { ...short, order: 'given' },
    ]),
    'long',
  );
});

test('of what nothing was predicted is named, and where that is all there is no prediction', (t) => {
  const known = planned('1', { downtimeMs: 300, totalMs: 3000 });
  t.like(predictGroup([known, planned('2', null), { id: '3', plan: null }], limits), { unknown: ['2', '3'] });
  t.is(predictGroup([planned('2', null)], limits), null);
});

test('together never takes longer than one after another, and never less than the longest', (t) => {
  const move = fc.record({ downtimeMs: fc.nat(1000), copyMs: fc.nat(9000), around: fc.nat(3000), to: fc.nat(3) });
  fc.assert(
    fc.property(fc.array(move, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 3 }), (moves, places) => {
      const totals = moves.map(({ downtimeMs, copyMs, around }) => downtimeMs + copyMs + around);
      const list = moves.map(({ downtimeMs, copyMs, to }, index) =>
        planned(String(index), { downtimeMs, copyMs, totalMs: totals[index] ?? 0 }, `n${to + 2}`),
      );
      const { makespanMs = -1 } = predictGroup(list, { ...limits, out: places, link: places }) ?? {};
      const sum = totals.reduce((all, ms) => all + ms, 0);
      return makespanMs >= Math.max(...totals) - 1 && makespanMs <= sum + moves.length;
    }),
  );
  t.pass();
});
