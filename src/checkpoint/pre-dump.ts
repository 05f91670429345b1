import { join } from 'node:path';
import { armToEnd } from '../process/armed-to-end.ts';
import { criuError, type DumpOptions } from './dump.ts';
import { readStats } from './images/stats.ts';

/** Directory of a round beside that of the one before; the dump in the freeze goes into the directory of them all. */
export const roundName = (number: number) => `round-${number}`;

export interface PreDumpOptions extends Omit<DumpOptions, 'leaveOut' | 'lazy' | 'parent'> {
  /** From 1 on. */
  number: number;
}

/**
 * Writes memory of a running container with `criu pre-dump` into `imageDir`: all of it in round 1, in a later one what the
 * kernel noted as written (soft-dirty) since the round before. CRIU freezes the ranks for a moment by their cgroup,
 * marks all memory as clean, and writes while they run again. Like a dump it is never killed.
 * @returns how long the ranks stood, microseconds.
 * @throws RankshiftError E_CRIU; the ranks run on.
 */
export async function preDump(options: PreDumpOptions): Promise<{ frozenUs: number }> {
  const { criu, nodeProgram, initPid, cgroup, rootfs, externals, imageDir, workDir, number } = options;
  const args = [
    ...['timens', '--join', String(initPid), '--', criu, 'pre-dump', '--tree', String(initPid)],
    ...['--images-dir', imageDir, '--work-dir', workDir, '--log-file', 'pre-dump.log', '-v2', '--root', rootfs],
    ...['--track-mem', ...(number === 1 ? [] : ['--prev-images-dir', join('..', roundName(number - 1))])],
    ...['--tcp-established', '--file-locks'],
    ...['--freeze-cgroup', cgroup, '--manage-cgroups=ignore', '--network-lock', 'skip', '--display-stats'],
    ...externals.flatMap(({ key, value }) => ['--external', `${key}:${value}`]),
  ];
  const exitCode = await armToEnd(nodeProgram, args, join(workDir, 'criu-pre-dump.err')).fire('');
  if (exitCode !== 0) throw await criuError('pre-dump', workDir);
  const { frozenUs = 0 } = await readStats(workDir).catch(() => ({ frozenUs: 0 }));
  return { frozenUs };
}
