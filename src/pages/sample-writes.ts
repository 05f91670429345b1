import { z } from 'zod';
import { patiently } from '../patience.ts';
import { run } from '../process/run.ts';

const sampleSchema = z.object({ ms: z.number(), writtenBytes: z.number(), presentBytes: z.number() });

/** What a container's processes write, measured for so long. Stops each of them for a part of a millisecond. */
export async function sampleWrites(
  pages: string,
  cgroup: string,
  ms: number,
): Promise<{ presentBytes: number; writtenBytesPerSecond: number }> {
  const { stdout } = await run(pages, ['source', cgroup], {
    input: `arm\nsample ${ms}\ndisarm\n`,
    timeoutMs: ms + patiently(10_000),
  });
  const sample = sampleSchema.parse(JSON.parse(stdout.split('\n')[1] ?? ''));
  return { presentBytes: sample.presentBytes, writtenBytesPerSecond: (sample.writtenBytes / sample.ms) * 1000 };
}
