import test from 'ava';
import fc from 'fast-check';
import { restoredOffset } from './continuity.ts';

const far = 10n ** 15n;
const clock = fc.record({ monotonicNs: fc.bigInt(-far, far), boottimeNs: fc.bigInt(-far, far) });
/** Node clocks at moment 0, and how wrong each measurement is and says that it may be. */
const ring = fc.array(
  fc.record({
    nodeNs: fc.bigInt(0n, far),
    errorNs: fc.bigInt(0n, 1_000_000n),
    part: fc.integer({ min: -100, max: 100 }),
  }),
  { minLength: 10, maxLength: 10 },
);
const unused = { frozenAtNs: 0n, nowNs: 0n };
const absolute = (value: bigint) => (value < 0n ? -value : value);

test('ten moves in a ring add at most the sum of the errors', (t) => {
  fc.assert(
    fc.property(clock, ring, (start, nodes) => {
      let container = start;
      let bound = 0n;
      for (const [i, { nodeNs, errorNs, part }] of nodes.entries()) {
        const next = nodes[(i + 1) % nodes.length]?.nodeNs ?? 0n;
        const nodeOffset = { offsetNs: next - nodeNs + (errorNs * BigInt(part)) / 100n, errorNs };
        const moved = restoredOffset({ policy: 'continuous', container, nodeOffset, ...unused });
        bound += moved.errorNs;
        // What the container reads at the same moment on both nodes.
        t.true(absolute(next + moved.monotonicNs - (nodeNs + container.monotonicNs)) <= errorNs);
        container = moved;
      }
      t.true(absolute(container.monotonicNs - start.monotonicNs) <= bound);
      t.true(absolute(container.boottimeNs - start.boottimeNs) <= bound);
    }),
  );
});

test('there and back with exact offsets changes nothing', (t) => {
  fc.assert(
    fc.property(clock, fc.bigInt(-far, far), (container, offsetNs) => {
      const to = restoredOffset({ policy: 'continuous', container, nodeOffset: { offsetNs, errorNs: 0n }, ...unused });
      const nodeOffset = { offsetNs: -offsetNs, errorNs: 0n };
      const back = restoredOffset({ policy: 'continuous', container: to, nodeOffset, ...unused });
      t.deepEqual(back, { ...container, errorNs: 0n });
    }),
  );
});

test('frozen: the container goes on from the value at the freeze', (t) => {
  fc.assert(
    fc.property(
      clock,
      fc.bigInt(-far, far),
      fc.bigInt(0n, far),
      fc.bigInt(0n, far),
      (container, offsetNs, frozenAtNs, gap) => {
        const nowNs = frozenAtNs + gap;
        const nodeOffset = { offsetNs, errorNs: 0n };
        const moved = restoredOffset({ policy: 'frozen', container, nodeOffset, frozenAtNs, nowNs });
        const [targetNowNs, atFreeze] = [nowNs + offsetNs, frozenAtNs + container.monotonicNs];
        t.is(targetNowNs + moved.monotonicNs, atFreeze);
        t.is(moved.boottimeNs - container.boottimeNs, -offsetNs - gap);
      },
    ),
  );
});

test('a suspended node: the boot clock has an offset of its own', (t) => {
  const moved = restoredOffset({
    policy: 'continuous',
    container: { monotonicNs: 5n, boottimeNs: 6n },
    nodeOffset: { offsetNs: 100n, errorNs: 1n },
    boottimeOffset: { offsetNs: 300n, errorNs: 2n },
    ...unused,
  });
  t.deepEqual(moved, { monotonicNs: -95n, boottimeNs: -294n, errorNs: 2n });
});
