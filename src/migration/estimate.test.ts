import test from 'ava';
import fc from 'fast-check';
import { estimateCost, median } from './estimate.ts';

test('fixed cost and rate come back out of exact samples', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 10, max: 2000 }), fc.integer({ min: 1, max: 5000 }), (fixedMs, mibPerSecond) => {
      const rate = mibPerSecond * 1_048_576;
      const samples = [64, 256, 1024].map((mib) => ({
        bytes: mib * 1_048_576,
        downtimeMs: fixedMs + ((mib * 1_048_576) / rate) * 1000,
      }));
      const estimate = estimateCost(samples);
      return (
        estimate !== null &&
        Math.abs(estimate.fixedMs - fixedMs) < 1 &&
        Math.abs((estimate.bytesPerSecond ?? 0) / rate - 1) < 0.01
      );
    }),
  );
  t.pass();
});

test('no samples say nothing; samples of one size give their median and no rate', (t) => {
  t.is(estimateCost([]), null);
  t.deepEqual(estimateCost([5, 900, 7].map((downtimeMs) => ({ bytes: 100, downtimeMs }))), {
    fixedMs: 7,
    bytesPerSecond: null,
  });
});

test('median', (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.is(median([]), Number.NaN);
});
