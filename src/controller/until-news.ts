import { z } from 'zod';

/** Query of a route that may hold its answer back, ms. */
export const waitSchema = z.coerce.number().int().min(0).max(10_000).default(0);

const lookMs = 100;

/**
 * Looks until there is something to tell, for `waitMs` at most, and returns what was seen last: who follows a move asks
 * once a second, and hears of its end at once.
 */
export async function untilNews<T>(
  look: () => Promise<T>,
  isNews: (seen: T) => boolean,
  waitMs: number,
  signals: readonly AbortSignal[],
): Promise<T> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const seen = await look();
    const left = deadline - performance.now();
    if (left <= 0 || isNews(seen) || signals.some(({ aborted }) => aborted)) return seen;
    await new Promise((resolve) => setTimeout(resolve, Math.min(lookMs, left)));
  }
}
