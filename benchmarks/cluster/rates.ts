import { z } from 'zod';
import type { Job } from '../../mpi-tests/support/job.ts';

/** How many exchanges a program had made by then; memhog with --rate-ms prints such lines. */
const rateSchema = z.object({ event: z.literal('rate'), epochNs: z.number(), exchanges: z.number() });

export interface Count {
  /** Unix time in milliseconds. */
  atMs: number;
  exchanges: number;
}

export function countsOf(job: Job): Count[] {
  return job.lines(/^\{"event":"rate"/).map((line) => {
    const { epochNs, exchanges } = rateSchema.parse(JSON.parse(line));
    return { atMs: epochNs / 1e6, exchanges };
  });
}

/** Exchanges per second between two times, linear between two lines; null where the lines do not reach so far. */
export function rateBetween(counts: readonly Count[], fromMs: number, toMs: number): number | null {
  const first = countAt(counts, fromMs);
  const last = countAt(counts, toMs);
  return first === null || last === null || toMs <= fromMs ? null : ((last - first) / (toMs - fromMs)) * 1000;
}

function countAt(counts: readonly Count[], atMs: number): number | null {
  const next = counts.findIndex((count) => count.atMs >= atMs);
  const after = counts[next];
  const before = counts[next - 1];
  if (after === undefined || before === undefined) return null;
  const part = (atMs - before.atMs) / (after.atMs - before.atMs);
  return before.exchanges + (after.exchanges - before.exchanges) * part;
}
