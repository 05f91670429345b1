import { setTimeout as sleep } from 'node:timers/promises';

/** Ends a wait before its deadline: what is waited for cannot come any more. */
export class GaveUp extends Error {
  override name = 'GaveUp';
}

/**
 * Waits until `probe` gives something: neither undefined nor false. What it throws counts as not yet, and is
 * quoted; a GaveUp goes through.
 * @param what completes "did not happen within 10000 ms: ..."
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  { timeoutMs = 60_000, pollMs = 50 }: { timeoutMs?: number; pollMs?: number } = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs;
  let last = '';
  for (;;) {
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
      last = '';
    } catch (error) {
      if (error instanceof GaveUp) throw error;
      last = ` (last: ${(error as Error).message})`;
    }
    if (performance.now() > deadline) throw new Error(`did not happen within ${timeoutMs} ms: ${what}${last}`);
    await sleep(pollMs);
  }
}
