import { z } from 'zod';
import type { Job } from './job.ts';
import { until } from './until.ts';

const sampleSchema = z.object({
  /** MPI_Wtime of rank 0, seconds. */
  t: z.number(),
  rank: z.number(),
  /** MPI_Wtime of the rank minus that of rank 0. */
  offsetNs: z.number(),
  /** The offset is right to within this: half of the best round trip. */
  errorNs: z.number(),
});
export type DriftSample = z.infer<typeof sampleSchema>;

/** All samples of a rank that the drift program has printed. */
export function driftSamples(job: Job, rank: number): DriftSample[] {
  const samples = job.lines(/^\{"t":.*\}$/).map((line) => sampleSchema.parse(JSON.parse(line)));
  return samples.filter((sample) => sample.rank === rank);
}

/**
 * The best of the samples that are taken from now on: waits until one is right to within `withinNs`.
 * The first new one may have been under way already, so it does not count.
 */
export async function nextGoodSample(job: Job, rank: number, withinNs: number): Promise<DriftSample> {
  const before = driftSamples(job, rank).length;
  return await until(
    `a sample of rank ${rank} right to within ${withinNs} ns`,
    () => {
      const fresh = driftSamples(job, rank).slice(before + 1);
      return fresh.toSorted((a, b) => a.errorNs - b.errorNs).find(({ errorNs }) => errorNs <= withinNs);
    },
    { timeoutMs: 20_000 * job.cluster.patience, pollMs: 20 },
  );
}
