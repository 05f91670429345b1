import test from 'ava';
import { outlook } from './progress.ts';
import type { Progress } from './record.ts';

const progress: Progress = {
  ...{ phase: 'round', round: 1, sentBytes: 400, wireBytes: 200, ofBytes: 1000, at: 10_000, since: 6000 },
  ...{ bytesPerSecond: null, dirtyBytesPerSecond: null },
};

test('what is left, how fast it goes and how long it takes', (t) => {
  t.deepEqual(outlook(progress), { leftBytes: 600, bytesPerSecond: 100, leftMs: 6000 });
});

test('rounds that are still to come count, and none come while it is frozen', (t) => {
  t.is(outlook({ ...progress, dirtyBytesPerSecond: 50 }).leftMs, 12_000);
  t.is(outlook({ ...progress, dirtyBytesPerSecond: 100 }).leftMs, null);
  t.is(outlook({ ...progress, dirtyBytesPerSecond: 50, phase: 'freeze' }).leftMs, 6000);
});

test('before anything was sent the rate is that of the rounds before', (t) => {
  const begun = { ...progress, sentBytes: 0, at: 6000 };
  t.deepEqual(outlook(begun), { leftBytes: 1000, bytesPerSecond: null, leftMs: null });
  t.deepEqual(outlook({ ...begun, bytesPerSecond: 500 }), { leftBytes: 1000, bytesPerSecond: 500, leftMs: 2000 });
});

test('a guess that was too low leaves nothing, and an unknown size leaves it open', (t) => {
  t.is(outlook({ ...progress, ofBytes: 300 }).leftBytes, 0);
  t.deepEqual(outlook({ ...progress, ofBytes: null }), { leftBytes: null, bytesPerSecond: 100, leftMs: null });
});
