import type { Job } from './job.ts';
import { move } from './move.ts';

/** A move was in mid-run where the program went on computing after it, and had begun before it. */
export async function moveInMidRun(job: Job, index: number, progress: RegExp, to: string): Promise<void> {
  const before = await job.untilPrinted(progress, 3);
  const record = await move(job.cluster, job.container(index), { to });
  const at = job.lines(progress).length;
  if (at < before.length) throw new Error('output was lost');
  await job.untilPrinted(progress, at + 3);
  const pagesBytes = record.result?.bytes?.pages ?? 0;
  if (pagesBytes < 1_000_000) throw new Error(`only ${pagesBytes} bytes of pages were moved`);
}
