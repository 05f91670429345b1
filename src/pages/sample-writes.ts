import { z } from 'zod';
import { patiently } from '../patience.ts';
import { run } from '../process/run.ts';

const sampleSchema = z.object({ ms: z.number(), writtenBytes: z.number(), presentBytes: z.number() });

export interface Writes {
  presentBytes: number;
  writtenBytesPerSecond: number;
}

/** What a container's processes write, measured for so long. Stops each of them for a part of a millisecond. */
export async function sampleWrites(pages: string, cgroup: string, ms: number): Promise<Writes> {
  const { stdout } = await run(pages, ['source', cgroup], {
    input: `arm\nsample ${ms}\ndisarm\n`,
    timeoutMs: ms + patiently(10_000),
  });
  return perSecond(stdout.split('\n')[1]);
}

/** The same by soft-dirty, for kernels that have nothing else. Takes from CRIU what it would know of writes. */
export async function sampleSoftDirty(pages: string, cgroup: string, ms: number): Promise<Writes> {
  const { stdout } = await run(pages, ['soft-dirty', cgroup, String(ms)], { timeoutMs: ms + patiently(10_000) });
  return perSecond(stdout);
}

/** Makes small pages of huge ones, which soft-dirty takes for one page each (huge.c). */
export async function splitHugePages(pages: string, cgroup: string): Promise<void> {
  await run(pages, ['split', cgroup], { timeoutMs: patiently(10_000) });
}

function perSecond(text = ''): Writes {
  const sample = sampleSchema.parse(JSON.parse(text));
  return { presentBytes: sample.presentBytes, writtenBytesPerSecond: (sample.writtenBytes / sample.ms) * 1000 };
}
