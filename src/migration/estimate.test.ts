import test from 'ava';
import fc from 'fast-check';
import { type CostSample, costSample, estimateCost, median, theilSen } from './estimate.ts';
import { type MigrationRecord, unmeasured } from './record.ts';

const mib = 1_048_576;
const sample: CostSample = {
  ...{ strategy: 'pre-copy', lazy: true, source: 'n1', target: 'n2', memoryBytes: 64 * mib },
  ...{ downtimeMs: 220, dumpMs: 90, pagesMs: 5, aroundMs: 500, leftBytes: 0 },
  ...{ probedBytesPerSecond: 400 * mib, carriedBytesPerSecond: 800 * mib },
};

test('nothing is estimated out of nothing; one move that was disturbed changes nothing', (t) => {
  t.is(estimateCost([], sample), null);
  const disturbed = { ...sample, downtimeMs: 9000, dumpMs: 8000, aroundMs: 60_000, carriedBytesPerSecond: mib };
  t.deepEqual(estimateCost([sample, disturbed, sample, sample], sample), {
    ...{ fixedMs: 220, overlapMs: 90, aroundMs: 500, aroundMsPerByte: 0, rateFactor: 2 },
  });
});

test('pages that went longer than the dump are no fixed cost', (t) => {
  const stop = { ...sample, strategy: 'stop-and-copy' as const, downtimeMs: 1220, pagesMs: 1090 };
  t.is(estimateCost([stop], stop)?.fixedMs, 220);
});

test('moves of the same kind count, then those of the same nodes, the last ones first', (t) => {
  const other = { ...sample, strategy: 'post-copy' as const, downtimeMs: 100 };
  t.is(estimateCost([other, sample], sample)?.fixedMs, 220);
  t.is(estimateCost([other], sample)?.fixedMs, 100);
  const elsewhere = Array.from({ length: 6 }, () => ({ ...sample, target: 'n9', downtimeMs: 400 }));
  t.is(estimateCost([...elsewhere, ...Array(5).fill(sample)], sample)?.fixedMs, 220);
  t.is(estimateCost([...elsewhere, sample], sample)?.fixedMs, 400);
  const old = Array.from({ length: 40 }, () => ({ ...sample, downtimeMs: 999 }));
  t.is(estimateCost([...Array(15).fill(sample), ...old], sample)?.fixedMs, 220);
});

test('a slow link says nothing of a fast one', (t) => {
  const slow = { ...sample, probedBytesPerSecond: 12 * mib, carriedBytesPerSecond: 12 * mib };
  t.is(estimateCost([slow, slow, slow, sample], sample)?.rateFactor, 2);
  t.is(estimateCost([slow, sample, sample], slow)?.rateFactor, 1);
  t.is(estimateCost([slow], sample)?.rateFactor, 1);
});

test('enough moves over links alike count alone, for the downtime too', (t) => {
  const rate = { probedBytesPerSecond: 12 * mib, carriedBytesPerSecond: 12 * mib };
  const slow = { ...sample, ...rate, downtimeMs: 600, aroundMs: 900 };
  const fast = Array<CostSample>(9).fill(sample);
  t.is(estimateCost([slow, slow, ...fast], slow)?.fixedMs, 220);
  t.like(estimateCost([slow, slow, slow, ...fast], slow), { fixedMs: 600, aroundMs: 900 });
  t.like(estimateCost([slow, slow, slow, ...fast], sample), { fixedMs: 220, aroundMs: 500 });
  t.is(estimateCost([slow, slow, slow, ...fast], { ...slow, probedBytesPerSecond: null })?.fixedMs, 220);
});

test('what was left behind is neither sent in the freeze nor a cost of the move itself', (t) => {
  const bytes = { pages: 130 * mib, upper: 0, metadata: 0, wire: null };
  const timeline = [
    { name: 'dump', node: 'n1', at: 0, ms: 60 },
    { name: 'pages', node: 'n1', at: 0, ms: 20 },
  ];
  const result = { ...unmeasured, downtimeMs: 200, bytes, leftBytes: 128 * mib, timeline };
  const plan = { strategy: 'post-copy', lazy: true, memoryBytes: 128 * mib, link: { bytesPerSecond: 64 * mib } };
  const record = { plan, result, source: 'n1', target: 'n2', createdAt: 1000, phases: [], request: {} };
  const made = costSample(record as unknown as MigrationRecord, 1000 + 200 + 2000 + 300);
  t.like(made, { downtimeMs: 200, dumpMs: 60, pagesMs: 20, carriedBytesPerSecond: null, aroundMs: 2300 });
  t.like(made, { leftBytes: 128 * mib });
  if (made === null) return;
  t.like(estimateCost([made], made), { aroundMs: 300 });
  // A link that carries half of what it was measured to: what was left behind took all of that time.
  const rounds = { ...sample, probedBytesPerSecond: 64 * mib, carriedBytesPerSecond: 32 * mib };
  t.is(estimateCost([made, rounds], made)?.aroundMs, 0);
});

test('a line comes back out of its points, and a few wrong ones do not bend it', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 50 }), (at, slope) => {
      const points = [1, 2, 3, 4, 5, 6, 7, 8].map((x) => [x, at + slope * x] as const);
      const bent = [...points, [5, 90_000] as const];
      return [points, bent].every((all) => {
        const line = theilSen(all);
        return Math.abs(line.slope - slope) < 1e-6 && Math.abs(line.at - at) < 1e-6;
      });
    }),
  );
  t.deepEqual(theilSen([[5, 7] as const, [5, 9] as const]), { slope: 0, at: 8 });
});

test('median', (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.is(median([]), Number.NaN);
});
