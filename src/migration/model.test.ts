import test from 'ava';
import fc from 'fast-check';
import {
  converges,
  fitsIntoFreeze,
  lambda,
  leftAfter,
  limitBytes,
  type MoveFacts,
  mostRounds,
  nextRound,
  predict,
  roundsFor,
  roundsWorthIt,
} from './model.ts';

const mib = 2 ** 20;

const anyFacts: fc.Arbitrary<MoveFacts> = fc.record({
  memoryBytes: fc.integer({ min: mib, max: 2 ** 42 }),
  dirtyBytesPerSecond: fc.integer({ min: 0, max: 2 ** 34 }),
  bytesPerSecond: fc.integer({ min: mib, max: 2 ** 34 }),
  roundSeconds: fc.double({ min: 1e-4, max: 1, noNaN: true }),
  fixedDowntimeMs: fc.double({ min: 0, max: 1000, noNaN: true }),
});
const converging = anyFacts.filter((facts) => converges(facts) && lambda(facts) < 0.99);

/** V(i + 1) = D (V(i) / R + t), step by step; never more than there is. */
function simulate({ memoryBytes, dirtyBytesPerSecond, bytesPerSecond, roundSeconds }: MoveFacts, rounds: number) {
  let left = memoryBytes;
  for (let i = 0; i < rounds; i++) {
    left = Math.min(memoryBytes, dirtyBytesPerSecond * (left / bytesPerSecond + roundSeconds));
  }
  return left;
}

const near = (a: number, b: number) => Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b)) + 1;

test('what is left after any number of rounds is what a simulation of them leaves', (t) => {
  fc.assert(fc.property(anyFacts, fc.nat(40), (facts, n) => near(leftAfter(facts, n), simulate(facts, n))));
  t.pass();
});

test('the limit is where the simulation ends, and is infinite where writes outrun the link', (t) => {
  fc.assert(fc.property(converging, (facts) => near(simulate(facts, 5000), limitBytes(facts))));
  t.is(
    limitBytes({ memoryBytes: 1, dirtyBytesPerSecond: 2, bytesPerSecond: 2, roundSeconds: 1, fixedDowntimeMs: 0 }),
    Number.POSITIVE_INFINITY,
  );
});

test('the number of rounds for a size that is left is the least that does it', (t) => {
  fc.assert(
    fc.property(converging, fc.double({ min: 0.001, max: 0.999, noNaN: true }), (facts, part) => {
      const limit = limitBytes(facts);
      const wanted = limit + part * (facts.memoryBytes - limit);
      const rounds = roundsFor(facts, wanted);
      if (rounds === null || rounds === 0) return rounds === 0;
      return (
        simulate(facts, rounds) <= wanted * (1 + 1e-6) + 1 && simulate(facts, rounds - 1) >= wanted * (1 - 1e-6) - 1
      );
    }),
  );
  const facts = {
    memoryBytes: 1000,
    dirtyBytesPerSecond: 10,
    bytesPerSecond: 100,
    roundSeconds: 1,
    fixedDowntimeMs: 0,
  };
  t.is(roundsFor(facts, limitBytes(facts)), null);
  t.is(roundsFor(facts, 1000), 0);
  t.is(roundsFor({ ...facts, dirtyBytesPerSecond: 0 }, 1), 1);
});

test('more latency never makes iterating start earlier, nor more rounds worth it', (t) => {
  fc.assert(
    fc.property(anyFacts, fc.double({ min: 0, max: 10, noNaN: true }), (facts, more) => {
      const slower = { ...facts, roundSeconds: facts.roundSeconds + more };
      return (!converges(slower) || converges(facts)) && roundsWorthIt(slower) <= roundsWorthIt(facts);
    }),
  );
  t.pass();
});

test('with any number of rounds, downtime and total grow with memory, writes and latency', (t) => {
  const grows = fc.constantFrom<'memoryBytes' | 'dirtyBytesPerSecond' | 'roundSeconds'>(
    'memoryBytes',
    'dirtyBytesPerSecond',
    'roundSeconds',
  );
  fc.assert(
    fc.property(anyFacts, fc.nat(20), grows, fc.double({ min: 1, max: 10, noNaN: true }), (facts, n, key, factor) => {
      const less = predict(facts, n);
      const more = predict({ ...facts, [key]: facts[key] * factor }, n);
      return more.downtimeMs >= less.downtimeMs * (1 - 1e-9) - 1e-6 && more.totalMs >= less.totalMs * (1 - 1e-9) - 1e-6;
    }),
  );
  t.pass();
});

test('rounds that are worth it leave no more than no rounds', (t) => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const rounds = roundsWorthIt(facts);
      return rounds <= mostRounds && predict(facts, rounds).downtimeMs <= predict(facts, 0).downtimeMs + 1e-6;
    }),
  );
  t.pass();
});

test('rounds go on while they shrink, and end with a reason', (t) => {
  const limits = { enoughBytes: 100, roundSeconds: 0.001 };
  t.true(nextRound([], limits).go);
  t.true(nextRound([{ bytes: 1e9, ms: 1000 }], limits).go);
  t.true(
    nextRound(
      [
        { bytes: 1e9, ms: 1000 },
        { bytes: 1e8, ms: 100 },
      ],
      limits,
    ).go,
  );
  const why = (...made: [number, number][]) => {
    const next = nextRound(
      made.map(([bytes, ms]) => ({ bytes, ms })),
      limits,
    );
    return next.go ? '' : next.why;
  };
  t.regex(why([1e9, 1000], [9e8, 900]), /as fast as/);
  t.regex(why([1e9, 1000], [2000, 1]), /within the downtime/);
  t.regex(why([1e9, 1000], [1e6, 0.9]), /costs more than its bytes/);
  t.regex(
    why(...Array.from({ length: mostRounds }, (_, i): [number, number] => [1e9 / 2 ** i, 1000 / 2 ** i])),
    /30 rounds/,
  );
});

test('a hybrid leaves behind what does not fit into the freeze, and whatever it knows nothing about', (t) => {
  const rounds = [
    { bytes: 1024 * mib, ms: 1000 },
    { bytes: (1024 * mib) / 4, ms: 250 },
  ];
  const rate = 1024 * mib;
  t.true(fitsIntoFreeze({ rounds, bytesPerSecond: rate, dirtyBytesPerSecond: (1024 * mib) / 10 }));
  t.false(fitsIntoFreeze({ rounds, bytesPerSecond: rate, dirtyBytesPerSecond: 1024 * mib }));
  t.false(fitsIntoFreeze({ rounds, bytesPerSecond: null, dirtyBytesPerSecond: 0 }));
  t.false(fitsIntoFreeze({ rounds: [], bytesPerSecond: rate, dirtyBytesPerSecond: 0 }));
});
