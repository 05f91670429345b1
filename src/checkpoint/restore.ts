import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunOptions, run } from '../process/run.ts';
import { criuError } from './dump.ts';

export interface RestoreOptions {
  runc: string;
  runcRoot: string;
  /** The static program rankshift-node. */
  nodeProgram: string;
  runcId: string;
  bundle: string;
  imageDir: string;
  workDir: string;
  /** Clocks of the restored container against this node's, nanoseconds. */
  monotonicNs: bigint;
  boottimeNs: bigint;
  /** A page server listens in `workDir` (src/pages/page-server.ts). */
  lazy: boolean;
  log?: RunOptions['log'];
}

const longestMs = 600_000;

/**
 * Restores a container with `runc restore` inside a fresh time namespace. Returns when the container runs; until the
 * gate (see gate.ts) is opened it stands, fully restored, before its first instruction.
 * @throws RankshiftError E_CRIU with CRIU's last error lines; E_TARGET_FULL where memory or space ran out.
 */
export async function restore(options: RestoreOptions): Promise<void> {
  const { runc, runcRoot, nodeProgram, runcId, bundle, imageDir, workDir, monotonicNs, boottimeNs, lazy, log } =
    options;
  const args = [
    ...['timens', '--monotonic-ns', String(monotonicNs), '--boottime-ns', String(boottimeNs), '--'],
    ...[
      runc,
      '--root',
      runcRoot,
      '--log',
      join(workDir, 'runc-restore.log'),
      'restore',
      '--detach',
      '--bundle',
      bundle,
    ],
    ...['--image-path', imageDir, '--work-path', workDir, '--tcp-established', '--file-locks'],
    ...(lazy ? ['--lazy-pages'] : []),
    ...['--manage-cgroups-mode', 'soft', runcId],
  ];
  const result = await run(nodeProgram, args, {
    allow: 'any',
    outlive: true,
    timeoutMs: longestMs,
    ...(log === undefined ? {} : { log }),
  });
  if (result.exitCode !== 0) throw await criuError('restore', workDir);
}

/** Leaves the clock offsets out of the images: the namespace made for the restore has the right ones. */
export async function dropTimeImages(imageDir: string): Promise<void> {
  const names = await readdir(imageDir);
  await Promise.all(names.filter((name) => /^timens-\d+\.img$/.test(name)).map((name) => rm(join(imageDir, name))));
}

/**
 * CRIU's configuration for one container, named by the annotation org.criu.config in its bundle. CRIU locks no network:
 * the container's port is held from before the dump until the gate opens, which is airtight, and putting nftables up and
 * down costs 50 ms of the freeze on either side (synchronize_rcu).
 */
export async function writeCriuConfig(file: string, actionScript: string | null): Promise<void> {
  const lines = ['network-lock skip', ...(actionScript === null ? [] : [`action-script ${actionScript}`])];
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
}
