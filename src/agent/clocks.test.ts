import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { measureClocks } from './clocks.ts';

/** A clock that is so far ahead of ours, at the other end of a link. */
function exchangeOver(
  roundTripMs: number,
  aheadNs: bigint,
): { exchange: Parameters<typeof measureClocks>[0]; made(): number } {
  let made = 0;
  return {
    async exchange() {
      made++;
      if (roundTripMs > 0) await sleep(roundTripMs);
      const realtimeNs = BigInt(Date.now()) * 1_000_000n + aheadNs;
      return { monotonicNs: String(process.hrtime.bigint() + aheadNs), realtimeNs: String(realtimeNs) };
    },
    made: () => made,
  };
}

test('on a short link many exchanges are made, and the best tells the offset', async (t) => {
  const { exchange, made } = exchangeOver(0, 5_000_000_000n);
  const { monotonic } = await measureClocks(exchange);
  t.is(made(), 80);
  const wrongNs = Number(monotonic.offsetNs) - 5e9;
  t.true(Math.abs(wrongNs) <= Number(monotonic.errorNs), `${wrongNs} ns`);
});

test('on a long link they end before the ranks have written much', async (t) => {
  const { exchange, made } = exchangeOver(60, 0n);
  await measureClocks(exchange);
  t.is(made(), 10);
});
