import { patiently } from '../patience.ts';
import { run } from '../process/run.ts';

/** Whether this kernel has what live pre-copy and lazy population need: `rankshift-pages probe`. */
export async function probePages(pages: string): Promise<{ ok: boolean; reason: string }> {
  try {
    const { exitCode, stderr } = await run(pages, ['probe'], { allow: 'any', timeoutMs: patiently(5000) });
    return { ok: exitCode === 0, reason: stderr.trim() };
  } catch (error) {
    return { ok: false, reason: (error as Error).message };
  }
}
