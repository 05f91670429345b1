import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { armToEnd, thirdDescriptor } from '../process/armed-to-end.ts';
import { lastLines } from '../process/run.ts';
import { criuEnvironment } from './criu-environment.ts';
import type { Externals } from './externals.ts';
import { readCriuLogErrors } from './images/log.ts';

export interface DumpOptions {
  criu: string;
  /** The static program rankshift-node. */
  nodeProgram: string;
  /** The library rankshift-leave-out.so: keeps CRIU from looking at memory that is sent by other means. */
  leaveOut: string;
  /** Process 1 of the container, in this node's process numbers. */
  initPid: number;
  /** The container's cgroup directory, frozen. */
  cgroup: string;
  rootfs: string;
  externals: Externals;
  imageDir: string;
  workDir: string;
  /** Private anonymous memory is left out: it is sent by other means, and restored lazily. */
  lazy: boolean;
  /** Directory of the last pre-dump, relative to `imageDir`: what was not written since is left there; null for all. */
  parent: string | null;
}

/** A dump or a restore whose program waits for its word: what can be done before the freeze is done. */
export interface ArmedCriu<Word extends unknown[]> {
  /** @throws RankshiftError E_CRIU with CRIU's last error lines. Once only. */
  fire(...word: Word): Promise<void>;
  /** Lets it go; nothing after fire. */
  drop(): void;
}

/**
 * Dumps a frozen container with CRIU into `imageDir`, when fired. `--leave-running`: whatever happens, CRIU leaves the
 * container as it found it, frozen in its cgroup. CRIU is driven without runc (docs/downtime.md). It runs inside the
 * container's own time namespace, so that it takes that for its own and the image holds clock offsets in timens-0.img,
 * which the restore leaves out (docs/field-notes.md, "Clocks"). It is never killed: a CRIU that dies in the middle leaves
 * its parasite code in the ranks.
 */
export function armDump(options: DumpOptions): ArmedCriu<[]> {
  const { criu, nodeProgram, leaveOut, initPid, cgroup, rootfs, externals, imageDir, workDir, lazy, parent } = options;
  const args = [
    ...['timens', '--armed', '--join', String(initPid), '--', criu, 'dump', '--tree', String(initPid)],
    ...['--images-dir', imageDir, '--work-dir', workDir, '--log-file', 'dump.log', '-v2', '--root', rootfs],
    ...['--leave-running', '--tcp-established', '--file-locks'],
    ...['--freeze-cgroup', cgroup, '--manage-cgroups=ignore', '--network-lock', 'skip', '--display-stats'],
    // CRIU's page server finds its client gone at once, which ends the dump well: all is there but those pages.
    ...(lazy ? ['--lazy-pages', '--ps-socket', String(thirdDescriptor)] : []),
    ...(parent === null ? [] : ['--track-mem', '--prev-images-dir', parent]),
    ...externals.flatMap(({ key, value }) => ['--external', `${key}:${value}`]),
  ];
  const armed = armToEnd(nodeProgram, args, join(workDir, 'criu-dump.err'), {
    third: lazy ? 'closed socket' : undefined,
    env: {
      ...criuEnvironment(nodeProgram),
      ...(lazy ? { LD_PRELOAD: leaveOut, RANKSHIFT_LEAVE_OUT: cgroup } : {}),
    },
  });
  return {
    fire: async () => {
      if ((await armed.fire('now')) !== 0) throw await criuError('dump', workDir);
    },
    drop: () => armed.drop(),
  };
}

/** E_CRIU with the reason out of CRIU's log, or of what else was said where there is none. */
export async function criuError(what: 'dump' | 'pre-dump' | 'restore', workDir: string): Promise<RankshiftError> {
  const ofCriu = await readCriuLogErrors(join(workDir, `${what}.log`)).catch(() => []);
  const ofOther = lastLines(await readFile(join(workDir, `criu-${what}.err`), 'utf8').catch(() => ''), 3);
  const lines = ofCriu.length > 0 ? ofCriu : ofOther;
  const reason = lines[0] ?? `it ended without a word in ${workDir}; was it killed?`;
  // What is full at a dump is the source; its images lie in its own memory.
  const full =
    what === 'restore' && /no space left on device|cannot allocate memory|ENOSPC|ENOMEM/i.test(lines.join('\n'));
  return new RankshiftError(full ? 'E_TARGET_FULL' : 'E_CRIU', `CRIU could not ${what} the container: ${reason}`, {
    lines,
  });
}
