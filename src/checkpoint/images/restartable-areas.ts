import { join } from 'node:path';
import { z } from 'zod';
import { readImage } from './image-file.ts';

/** Memory of a process in which the kernel notes on which processor a thread runs: rseq(2). */
export interface RestartableArea {
  /** Number of the process inside the container. */
  process: number;
  address: number;
  bytes: number;
}

const treeSchema = z.object({ pid: z.number(), threads: z.array(z.number()).default([]) });
/** Of CRIU's task states (compel/include/uapi/task-state.h). */
const dead = new Set([2, 6]);
const coreSchema = z.object({
  tc: z.object({ task_state: z.number() }).optional(),
  thread_core: z
    .object({ rseq_entry: z.object({ rseq_abi_pointer: z.number(), rseq_abi_size: z.number() }).optional() })
    .optional(),
});

/**
 * The rseq areas of every thread that was dumped. CRIU registers them again, and the kernel writes into them before the
 * thread has run one instruction. @throws RankshiftError E_CRIU where an image is absent or malformed.
 */
export async function restartableAreas(imageDir: string): Promise<RestartableArea[]> {
  const tree = (await readImage(join(imageDir, 'pstree.img'), 'pstree')).map((entry) => treeSchema.parse(entry));
  // Of one that has ended and was not waited for the image names threads that are none.
  const alive = await Promise.all(
    tree.map(async ({ pid }) => !dead.has((await core(imageDir, pid)).tc?.task_state ?? 0)),
  );
  const threads = tree.flatMap(({ pid, threads: all }, index) =>
    alive[index] === true ? all.map((thread) => ({ process: pid, thread })) : [],
  );
  const areas = await Promise.all(
    threads.map(async ({ process, thread }) => {
      const area = (await core(imageDir, thread)).thread_core?.rseq_entry;
      return area === undefined || area.rseq_abi_pointer === 0
        ? []
        : [{ process, address: area.rseq_abi_pointer, bytes: area.rseq_abi_size }];
    }),
  );
  return areas.flat();
}

async function core(imageDir: string, thread: number): Promise<z.infer<typeof coreSchema>> {
  const [entry] = await readImage(join(imageDir, `core-${thread}.img`), 'core', { entries: 1 });
  return coreSchema.parse(entry ?? {});
}
