import test from 'ava';
import fc from 'fast-check';
import { chooseWire, compressionSchema, mostStreams, type Packings, pagesPerSecond, type WireFacts } from './wire.ts';

const mbit = 1e6 / 8;
const packings: Packings = {
  lz4: { ratio: 2.5, bytesPerSecond: 500e6 },
  zstd: { ratio: 4, bytesPerSecond: 250e6 },
};
const incompressible: Packings = {
  lz4: { ratio: 1, bytesPerSecond: 5e9 },
  zstd: { ratio: 1, bytesPerSecond: 2e9 },
};
const auto = { compression: 'auto', streams: 'auto' } as const;
const facts = (bytesPerSecond: number, more: Partial<WireFacts> = {}): WireFacts => ({
  link: { roundTripMs: 0.2, bytesPerSecond, severalBytesPerSecond: null },
  packings,
  limitBytesPerSecond: null,
  wanted: auto,
  ...more,
});

test('the slower the link, the better it is compressed', (t) => {
  t.is(chooseWire(facts(10_000 * mbit)).compression, 'none');
  t.is(chooseWire(facts(1500 * mbit)).compression, 'lz4');
  t.is(chooseWire(facts(100 * mbit)).compression, 'zstd');
  t.is(chooseWire(facts(10_000 * mbit, { limitBytesPerSecond: 10e6 })).compression, 'zstd');
});

test('what does not get smaller is not compressed on any link', (t) => {
  for (const rate of [1, 100, 1000, 10_000]) {
    t.is(chooseWire(facts(rate * mbit, { packings: incompressible })).compression, 'none');
  }
});

test('what was asked for is done, whatever was measured', (t) => {
  const wanted = { compression: 'lz4', streams: 7 } as const;
  for (const link of [null, facts(mbit).link, facts(100e6).link]) {
    const { compression, streams } = chooseWire(facts(1, { link, wanted, packings: null }));
    t.deepEqual({ compression, streams }, wanted);
  }
  const { compression, streams } = chooseWire(facts(mbit, { packings: null }));
  t.deepEqual({ compression, streams }, { compression: 'none', streams: 1 });
});

test('connections are as many as the link holds of what one keeps in flight', (t) => {
  const streams = (one: number, several: number | null) =>
    chooseWire(facts(one, { link: { roundTripMs: 50, bytesPerSecond: one, severalBytesPerSecond: several } })).streams;
  t.is(streams(100e6, null), 1);
  t.is(streams(100e6, 110e6), 1);
  t.is(streams(100e6, 90e6), 1);
  t.is(streams(100e6, 190e6), 2);
  t.is(streams(100e6, 300e6), 3);
  // Four that bring four times as much have not found the end.
  t.is(streams(100e6, 400e6), 8);
  t.is(streams(1e6, 400e6), 16);
});

const speed = fc.double({ min: 1e4, max: 1e10, noNaN: true });
const packing = fc.record({ ratio: fc.double({ min: 1, max: 50, noNaN: true }), bytesPerSecond: speed });
const anyFacts: fc.Arbitrary<WireFacts> = fc.record({
  link: fc.record({
    roundTripMs: fc.double({ min: 0, max: 500, noNaN: true }),
    bytesPerSecond: speed,
    severalBytesPerSecond: fc.option(speed),
  }),
  packings: fc.option(fc.record({ lz4: packing, zstd: packing })),
  limitBytesPerSecond: fc.option(speed),
  wanted: fc.constant(auto),
});

test('whatever is measured: a sane choice that carries no less than none', (t) => {
  fc.assert(
    fc.property(anyFacts, (any) => {
      const chosen = chooseWire(any);
      const { streams, compression, bytesPerSecond, ratio } = chosen;
      const plain = chooseWire({ ...any, wanted: { compression: 'none', streams } });
      const limit = any.limitBytesPerSecond ?? Number.POSITIVE_INFINITY;
      const limited = (free: number | null) => Math.min(free ?? 0, limit);
      const carried = pagesPerSecond(limited(plain.bytesPerSecond), any.packings, compression);
      return (
        Number.isInteger(streams) &&
        streams >= 1 &&
        streams <= mostStreams &&
        compressionSchema.options.includes(compression) &&
        ratio >= 1 &&
        (bytesPerSecond ?? 0) > 0 &&
        carried >= limited(plain.bytesPerSecond)
      );
    }),
  );
  t.pass();
});

test('a faster link never carries fewer pages, nor does a better ratio or a faster compressor', (t) => {
  fc.assert(
    fc.property(speed, packing, fc.double({ min: 1, max: 5, noNaN: true }), (wire, one, more) => {
      const both = (p: typeof one) => ({ lz4: p, zstd: p });
      const base = pagesPerSecond(wire, both(one), 'lz4');
      const grown = [
        pagesPerSecond(wire * more, both(one), 'lz4'),
        pagesPerSecond(wire, both({ ...one, ratio: one.ratio * more }), 'lz4'),
        pagesPerSecond(wire, both({ ...one, bytesPerSecond: one.bytesPerSecond * more }), 'lz4'),
      ];
      return grown.every((after) => after >= base * (1 - 1e-9));
    }),
  );
  t.pass();
});
