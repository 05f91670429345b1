import type { Job } from '../../mpi-tests/support/job.ts';

/** Ends a job in good order. @throws Error where it was harmed: then nothing that was measured counts. */
export async function finish(job: Job): Promise<void> {
  const end = await job.finish();
  if (end.state === 'COMPLETED' && end.verified === 1) return;
  throw new Error(`job ${job.id} ended ${JSON.stringify(end)}: ${job.all.slice(-2000)}`);
}
