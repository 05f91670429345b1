import { patiently } from '../patience.ts';
import { run } from '../process/run.ts';

/** Whether kernel and CRIU can write memory in rounds: CONFIG_MEM_SOFT_DIRTY, and a CRIU that works at all. */
export async function probeSoftDirty(criu: string): Promise<boolean> {
  try {
    const { exitCode } = await run(criu, ['check', '--feature', 'mem_dirty_track'], {
      allow: 'any',
      timeoutMs: patiently(20_000),
    });
    return exitCode === 0;
  } catch {
    return false;
  }
}
