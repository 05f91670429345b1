import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { measureClocks } from './clocks.ts';

/** A clock that is so far ahead of ours, at the other end of a link. */
function exchangeOver(roundTripMs: number, { aheadNs = 0n, busyMs = 0 }: { aheadNs?: bigint; busyMs?: number } = {}) {
  let made = 0;
  let underWay = 0;
  let most = 0;
  return {
    async exchange() {
      made++;
      most = Math.max(most, ++underWay);
      const until = performance.now() + busyMs;
      while (performance.now() < until);
      if (roundTripMs > 0) await sleep(roundTripMs / 2);
      const realtimeNs = String(BigInt(Date.now()) * 1_000_000n + aheadNs);
      const monotonicNs = String(process.hrtime.bigint() + aheadNs);
      if (roundTripMs > 0) await sleep(roundTripMs / 2);
      underWay--;
      return { monotonicNs, realtimeNs };
    },
    made: () => made,
    /** At one time. */
    most: () => most,
  };
}

for (const roundTripMs of [0, 60]) {
  test.serial(
    `over a link with a round trip of ${roundTripMs} ms the best of many exchanges tells the offset`,
    async (t) => {
      const { exchange, made, most } = exchangeOver(roundTripMs, { aheadNs: 5_000_000_000n });
      const { monotonic } = await measureClocks(exchange);
      t.true(made() >= 10 && made() <= 80, `${made()}`);
      // Of one after another few would be made in the time that there is for them.
      t.is(most() > 1, roundTripMs > 0, `${most()} at a time`);
      const wrongNs = Number(monotonic.offsetNs) - 5e9;
      t.true(Math.abs(wrongNs) <= Number(monotonic.errorNs), `${wrongNs} ns`);
    },
  );
}

test.serial('where each takes long, ten are enough', async (t) => {
  const { exchange, made } = exchangeOver(0, { busyMs: 60 });
  await measureClocks(exchange);
  t.is(made(), 10);
});

test.serial('the first that fails ends the measurement, whatever is under way', async (t) => {
  let calls = 0;
  const { exchange } = exchangeOver(60);
  const failing = async () => (calls++ === 3 ? Promise.reject(new Error('cut')) : exchange());
  await t.throwsAsync(measureClocks(failing), { message: 'cut' });
});
