import { z } from 'zod';
import type { Job } from '../../mpi-tests/support/job.ts';

/** One measurement of the program drift: MPI_Wtime of rank 1 against rank 0. */
const sampleSchema = z.object({ t: z.number(), rank: z.literal(1), offsetNs: z.number(), errorNs: z.number() });
export type DriftSample = z.infer<typeof sampleSchema>;

const pattern = /^\{"t":.*"rank":1.*\}$/;

/** Waits for that many samples that are yet to be made, and returns the one with the least error. */
export async function nextSample(job: Job, count: number, skip = 0): Promise<DriftSample> {
  const seen = job.lines(pattern).length;
  const lines = await job.untilPrinted(pattern, seen + skip + count, 60_000);
  const samples = lines.slice(seen + skip).map((line) => sampleSchema.parse(JSON.parse(line)));
  const [best] = samples.toSorted((a, b) => a.errorNs - b.errorNs);
  if (best === undefined) throw new Error('no sample');
  return best;
}
