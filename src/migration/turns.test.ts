import test from 'ava';
import fc from 'fast-check';
import { type Limits, Slots } from './schedule.ts';
import { longWaitMs, stageSeconds, type WaitingTurn, whoseTurn } from './turns.ts';

const limits: Limits = { out: 2, in: 2, link: 2, cluster: 8 };
const now = 1_000_000_000;
const waits = (id: number, more: Partial<WaitingTurn> = {}): WaitingTurn => ({
  ...{ id: String(id), stage: 'copy', source: 'n1', target: 'n2', copySeconds: 1, restoreSeconds: 1 },
  ...{ given: false, since: now, ...more },
});

test('as many are made ready as may copy, in the order of the requests, whatever copies', (t) => {
  const ready = [9, 10, 11].map((id) => waits(id, { stage: 'ahead', target: '' }));
  t.deepEqual(whoseTurn(ready.toReversed(), [], limits, now), ['9', '10']);
  const copying = [1, 2].map((id) => ({ id: String(id), stage: 'copy' as const, source: 'n1', target: 'n2' }));
  t.deepEqual(whoseTurn(ready, copying, limits, now), ['9', '10']);
  const ahead = { id: '3', stage: 'ahead' as const, source: 'n1', target: '' };
  t.deepEqual(whoseTurn(ready, [...copying, ahead], limits, now), ['9']);
});

test("copies go in Johnson's order, or as requested where that was asked for", (t) => {
  const moves = [
    waits(1, { copySeconds: 9, restoreSeconds: 1 }),
    waits(2, { copySeconds: 1, restoreSeconds: 2 }),
    waits(3, { copySeconds: 5, restoreSeconds: 3 }),
  ];
  t.deepEqual(whoseTurn(moves, [], limits, now), ['2', '3']);
  t.deepEqual(
    whoseTurn(
      moves.map((one) => ({ ...one, given: true })),
      [],
      limits,
      now,
    ),
    ['1', '2'],
  );
});

test('nobody passes one that has waited for long on what he waits for', (t) => {
  const copying = [1, 2].map((id) => ({ id: String(id), stage: 'copy' as const, source: `n${id + 3}`, target: 'n2' }));
  const long = waits(7, { since: now - longWaitMs - 1 });
  // Into n2 there is no room; another from n1 would take one of the two places that the old one needs.
  const others = [8, 9].map((id) => waits(id, { target: 'n3' }));
  t.deepEqual(whoseTurn([long, ...others], copying, limits, now), ['8']);
  t.deepEqual(whoseTurn([waits(7), ...others], copying, limits, now), ['8', '9']);
});

test('never more than the limits allow', (t) => {
  const node = fc.constantFrom('n1', 'n2', 'n3');
  const turn = fc.record({ source: node, target: node, since: fc.integer({ min: now - 2 * longWaitMs, max: now }) });
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 12 }), (list) => {
      const moves = list.map((one, index) => waits(index + 1, one));
      const chosen = new Set(whoseTurn(moves, [], limits, now));
      const used = new Slots(limits);
      for (const move of moves.filter(({ id }) => chosen.has(id))) {
        t.is(used.full(move), null);
        used.take({ ...move, stage: 'copy' });
      }
      t.true(moves.length === 0 || chosen.size > 0);
    }),
  );
});

test('stages as the plan predicts them, or by link and memory', (t) => {
  const link = { roundTripMs: 1, bytesPerSecond: 1e8, severalBytesPerSecond: null };
  const plan = { memoryBytes: 2e8, link, predicted: { downtimeMs: 500, totalMs: 3000 } };
  t.deepEqual(stageSeconds(plan), { copySeconds: 2.5, restoreSeconds: 0.5 });
  t.deepEqual(stageSeconds({ ...plan, predicted: null }), { copySeconds: 2, restoreSeconds: 0.3 });
  t.is(stageSeconds({ ...plan, predicted: null, link: null }).copySeconds, 0);
});
