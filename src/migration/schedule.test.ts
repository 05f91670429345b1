import test from 'ava';
import fc from 'fast-check';
import { johnsonOrder, type Limits, lowerBound, nextTurns, type ScheduledMove, Slots, schedule } from './schedule.ts';

const seconds = fc.integer({ min: 0, max: 40 });
const node = fc.constantFrom('n1', 'n2', 'n3', 'n4');
const moveList = fc
  .array(
    fc.record({ source: node, target: node, aheadSeconds: seconds, copySeconds: seconds, restoreSeconds: seconds }),
    { maxLength: 8 },
  )
  .map((list) => list.map((move, index): ScheduledMove => ({ id: String(index + 1), ...move })));
const slots = fc.integer({ min: 1, max: 3 });
const someLimits: fc.Arbitrary<Limits> = fc.record({ out: slots, in: slots, link: slots, cluster: slots });
const one: Limits = { out: 1, in: 1000, link: 1000, cluster: 1000 };

test('every move is scheduled once, after its preparation, and no limit is exceeded at any time', (t) => {
  fc.assert(
    fc.property(moveList, someLimits, (moves, limits) => {
      const plan = schedule(johnsonOrder(moves), limits);
      t.deepEqual(plan.moves.map(({ id }) => id).sort(), moves.map(({ id }) => id).sort());
      const timed = plan.moves.flatMap((slot) =>
        moves.filter(({ id }) => id === slot.id).map((move) => ({ ...move, ...slot })),
      );
      for (const move of timed) {
        t.true(move.copyFrom >= move.aheadSeconds);
        t.is(move.restoreFrom, move.copyFrom + move.copySeconds);
        t.is(move.end, move.restoreFrom + move.restoreSeconds);
      }
      // At each beginning, those that run at that moment; what lasts no time takes no place.
      for (const { copyFrom: now } of timed) {
        const copying = timed.filter((move) => move.copyFrom <= now && now < move.restoreFrom);
        const running = timed.filter((move) => move.copyFrom <= now && now < move.end);
        t.true(running.length <= limits.cluster);
        for (const list of Map.groupBy(copying, ({ source }) => source).values()) t.true(list.length <= limits.out);
        for (const list of Map.groupBy(running, ({ target }) => target).values()) t.true(list.length <= limits.in);
        for (const list of Map.groupBy(copying, (move) => `${move.source} ${move.target}`).values())
          t.true(list.length <= limits.link);
      }
      t.is(plan.makespan, Math.max(0, ...timed.map(({ end }) => end)));
    }),
  );
  t.pass();
});

test('no schedule is shorter than the lower bound, in whatever order', (t) => {
  fc.assert(
    fc.property(moveList, someLimits, (moves, limits) => {
      const bound = lowerBound(moves, limits);
      for (const order of [moves, johnsonOrder(moves), moves.toReversed()]) {
        t.true(schedule(order, limits).makespan >= bound - 1e-9);
      }
      t.true(lowerBound(moves, limits, { wire: true }) >= bound - 1e-9);
    }),
  );
  t.pass();
});

test("Johnson's order is the best of all where each stage takes one at a time", (t) => {
  // The textbook's flow shop: one machine copies, one restores, and each takes the moves in the same order.
  const flowShop = (moves: readonly ScheduledMove[]) => {
    let [copied, restored] = [0, 0];
    for (const { copySeconds, restoreSeconds } of moves) {
      copied += copySeconds;
      restored = Math.max(copied, restored) + restoreSeconds;
    }
    return restored;
  };
  const few = moveList.filter(({ length }) => length <= 5);
  fc.assert(
    fc.property(few, (moves) => {
      const best = Math.min(...permutations(moves).map(flowShop));
      t.is(flowShop(johnsonOrder(moves)), best);
    }),
    { numRuns: 60 },
  );
});

test('with one place out of a node and room to restore, pipelining is as short as the bound', (t) => {
  const moves = [1, 2, 3, 4].map((id) => ({
    ...{ id: String(id), source: 'n1', target: `n${(id % 2) + 2}` },
    ...{ aheadSeconds: 1, copySeconds: 2, restoreSeconds: 1 },
  }));
  // 1 ahead, 4 times 2 over the link, 1 for the last restore; one after another it is 16.
  t.is(schedule(johnsonOrder(moves), one).makespan, 10);
  t.is(lowerBound(moves, one), 10);
});

test('who may begin: the first that there is room for, and others past one that has none', (t) => {
  fc.assert(
    fc.property(moveList, moveList, someLimits, (waiting, moving, limits) => {
      const holding = nextTurns(moving, [], limits).map((move, index) => ({
        ...move,
        stage: index % 2 === 0 ? ('copy' as const) : ('restore' as const),
      }));
      const chosen = nextTurns(waiting, holding, limits);
      const used = new Slots(limits, holding);
      for (const move of waiting) {
        const room = used.full(move) === null;
        t.is(chosen.includes(move), room);
        if (room) used.take({ ...move, stage: 'copy' });
      }
    }),
  );
  t.pass();
});

test('what is full is said in words', (t) => {
  const limits: Limits = { out: 1, in: 2, link: 2, cluster: 3 };
  const used = new Slots(limits, [{ source: 'n1', target: 'n2', stage: 'copy' }]);
  t.is(used.full({ source: 'n1', target: 'n3' }), '1 of 1 moves from n1 are under way');
  t.is(used.full({ source: 'n3', target: 'n2' }), null);
  used.pass({ source: 'n1', target: 'n2' });
  t.is(used.full({ source: 'n1', target: 'n3' }), null);
  used.take({ source: 'n3', target: 'n2', stage: 'restore' });
  t.is(used.full({ source: 'n1', target: 'n2' }), '2 of 2 moves to n2 are under way');
  used.take({ source: 'n4', target: 'n3', stage: 'copy' });
  t.is(used.full({ source: 'n5', target: 'n6' }), '3 of 3 moves of the cluster are under way');
  used.free({ source: 'n4', target: 'n3', stage: 'copy' });
  t.is(used.full({ source: 'n5', target: 'n6' }), null);
});

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((first, at) =>
    permutations(list.filter((_, other) => other !== at)).map((rest) => [first, ...rest]),
  );
}
