import { z } from 'zod';
import type { Packings } from '../migration/wire.ts';
import { run } from '../process/run.ts';

const triedSchema = z.object({ bytes: z.number(), ns: z.number() });
const ratioSchema = z.object({ bytes: z.number(), lz4: triedSchema, zstd: triedSchema });

/** What compression makes of a few MiB of a container's pages. Null where it has none but zeros. */
export async function samplePacking(pages: string, cgroup: string): Promise<Packings | null> {
  const { stdout } = await run(pages, ['ratio', cgroup], { timeoutMs: 10_000 });
  const { bytes, lz4, zstd } = ratioSchema.parse(JSON.parse(stdout));
  if (bytes === 0) return null;
  const packing = (tried: z.infer<typeof triedSchema>) => ({
    ratio: Math.max(1, bytes / tried.bytes),
    bytesPerSecond: (bytes / Math.max(1, tried.ns)) * 1e9,
  });
  return { lz4: packing(lz4), zstd: packing(zstd) };
}
