import { closeSync, openSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { armToEnd, thirdDescriptor } from '../process/armed-to-end.ts';
import { criuEnvironment } from './criu-environment.ts';
import { type ArmedCriu, criuError } from './dump.ts';
import type { Externals } from './externals.ts';
import { gateScript } from './gate.ts';

export interface RestoreOptions {
  criu: string;
  /** The static program rankshift-node. */
  nodeProgram: string;
  rootfs: string;
  /** The container's cgroup directory, with its limits: CRIU goes there first, and all that it restores is born there. */
  cgroup: string;
  /** Path of the network namespace. */
  netns: string;
  /** readRestoreExternals */
  externals: Externals;
  /** With the gate (gate.ts). */
  directory: string;
  imageDir: string;
  workDir: string;
  /** A page server listens in `workDir` (src/pages/page-server.ts) when this is fired. */
  lazy: boolean;
}

/** Clocks of the restored container against this node's, nanoseconds. */
export interface ClockOffsets {
  monotonicNs: bigint;
  boottimeNs: bigint;
}

/**
 * Restores a container inside a fresh time namespace, when fired. That ends when the container runs; until the gate is
 * opened it stands, fully restored, before its first instruction. CRIU is driven without runc (docs/downtime.md), with
 * the options that runc would give it (libcontainer, criu_linux.go). CRIU locks no network: the container's port is held
 * from before the dump until the gate opens, which is airtight, and putting nftables up and down costs 50 ms of the
 * freeze on either side (synchronize_rcu).
 */
export function armRestore(options: RestoreOptions): ArmedCriu<[ClockOffsets]> {
  const { criu, nodeProgram, rootfs, cgroup, netns, externals, directory, imageDir, workDir, lazy } = options;
  const args = [
    ...['timens', '--armed', '--cgroup', cgroup, '--', criu, 'restore', '--restore-detached'],
    ...['--images-dir', imageDir, '--work-dir', workDir, '--log-file', 'restore.log', '-v2', '--root', rootfs],
    ...['--tcp-established', '--file-locks', '--manage-cgroups=ignore', '--network-lock', 'skip', '--display-stats'],
    ...['--action-script', gateScript(directory)],
    ...['--inherit-fd', `fd[${thirdDescriptor}]:extRootNetNS`],
    ...(lazy ? ['--lazy-pages'] : []),
    ...externals.flatMap(({ key, value }) => ['--external', `${key}:${value}`]),
  ];
  const third = openSync(netns, 'r');
  try {
    const armed = armToEnd(nodeProgram, args, join(workDir, 'criu-restore.err'), {
      third,
      env: criuEnvironment(nodeProgram),
    });
    return {
      fire: async ({ monotonicNs, boottimeNs }) => {
        if ((await armed.fire(`${monotonicNs} ${boottimeNs}`)) !== 0) throw await criuError('restore', workDir);
      },
      drop: () => armed.drop(),
    };
  } finally {
    closeSync(third);
  }
}

/** Leaves the clock offsets out of the images: the namespace made for the restore has the right ones. */
export async function dropTimeImages(imageDir: string): Promise<void> {
  const names = await readdir(imageDir);
  await Promise.all(names.filter((name) => /^timens-\d+\.img$/.test(name)).map((name) => rm(join(imageDir, name))));
}
