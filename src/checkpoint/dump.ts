import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { lastLines, type RunOptions, run } from '../process/run.ts';
import { readCriuLogErrors } from './images/log.ts';

export interface CheckpointTools {
  runc: string;
  runcRoot: string;
  /** The static program rankshift-node. */
  nodeProgram: string;
}

export interface DumpOptions extends CheckpointTools {
  runcId: string;
  /** Process 1 of the container, in this node's process numbers. */
  initPid: number;
  imageDir: string;
  workDir: string;
  /** Loopback port behind which the pages go to the target. */
  pageServerPort: number;
  log?: RunOptions['log'];
}

/** A dump that takes longer has hung; CRIU's own time-out for seizing tasks is 10 s. */
const longestMs = 600_000;

/**
 * Dumps a frozen container with `runc checkpoint --leave-running`: whatever happens, CRIU leaves it as it found it,
 * frozen in its cgroup. Runs inside the container's own time namespace, so that CRIU takes that for its own and the
 * image holds clock offsets in timens-0.img, which the restore leaves out (docs/field-notes.md, "Clocks").
 * @throws RankshiftError E_CRIU with CRIU's last error lines.
 */
export async function dump(options: DumpOptions): Promise<void> {
  const { runc, runcRoot, nodeProgram, runcId, initPid, imageDir, workDir, pageServerPort, log } = options;
  const args = [
    ...['timens', '--join', String(initPid), '--'],
    ...[
      runc,
      '--root',
      runcRoot,
      '--log',
      join(workDir, 'runc-dump.log'),
      'checkpoint',
      '--leave-running',
      '--tcp-established',
      '--file-locks',
    ],
    ...['--manage-cgroups-mode', 'soft', '--image-path', imageDir, '--work-path', workDir],
    ...['--page-server', `127.0.0.1:${pageServerPort}`, runcId],
  ];
  const result = await run(nodeProgram, args, {
    allow: 'any',
    outlive: true,
    timeoutMs: longestMs,
    ...(log === undefined ? {} : { log }),
  });
  if (result.exitCode === 0) return;
  throw await criuError('dump', workDir);
}

/** E_CRIU with the reason out of CRIU's log, or of runc's where CRIU was not even started. */
export async function criuError(what: 'dump' | 'restore', workDir: string): Promise<RankshiftError> {
  const ofCriu = await readCriuLogErrors(join(workDir, `${what}.log`)).catch(() => []);
  const ofRunc = lastLines(await readFile(join(workDir, `runc-${what}.log`), 'utf8').catch(() => ''), 3);
  const lines = ofCriu.length > 0 ? ofCriu : ofRunc;
  const reason = lines[0] ?? `no reason in ${workDir}`;
  const full = /no space left on device|cannot allocate memory|ENOSPC|ENOMEM/i.test(lines.join('\n'));
  return new RankshiftError(full ? 'E_TARGET_FULL' : 'E_CRIU', `CRIU could not ${what} the container: ${reason}`, {
    lines,
  });
}
