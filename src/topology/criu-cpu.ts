import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastLines, run } from '../process/run.ts';

const deadlineMs = 10_000;

/**
 * CRIU's own picture of this CPU: cpuid words, XSAVE features and the size of the XSAVE area, which /proc does not
 * show. `criu cpuinfo dump` writes it as an image of about 130 bytes.
 * @throws RankshiftError E_MISSING, E_COMMAND, E_TIMEOUT.
 */
export async function dumpCpuImage(criuPath: string): Promise<Uint8Array> {
  const dir = await mkdtemp(join(tmpdir(), 'rankshift-cpu-'));
  try {
    await run(criuPath, ['cpuinfo', 'dump', '--images-dir', dir], { timeoutMs: deadlineMs });
    return await readFile(join(dir, 'cpuinfo.img'));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * Whether CRIU here finds this CPU able to go on with what was dumped on the CPU of `image`. Stricter than a restore,
 * which does not ask unless told to: the XSAVE areas must be of one size, so a CPU that has more state than the source's
 * (AMX beside AVX-512) is named too. Take it as a warning beside compareCpu.
 * @returns the reasons against it in CRIU's words; empty where it would.
 * @throws RankshiftError E_MISSING, E_TIMEOUT.
 */
export async function checkCpuImage(criuPath: string, image: Uint8Array): Promise<string[]> {
  const dir = await mkdtemp(join(tmpdir(), 'rankshift-cpu-'));
  try {
    await writeFile(join(dir, 'cpuinfo.img'), image);
    const args = ['cpuinfo', 'check', '--cpu-cap', 'ins', '--images-dir', dir];
    const { exitCode, stdout, stderr } = await run(criuPath, args, { timeoutMs: deadlineMs, allow: 'any' });
    if (exitCode === 0) return [];
    // Other lines are about features that CRIU probes at every start.
    const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => /cpu:|fpu:|cpuinfo/i.test(line));
    return lines.length > 0 ? lines : lastLines(`CRIU gave no reason (exit ${exitCode})\n${stderr}`, 3);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
