import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';

/** One hierarchy in use: `unified` (cgroup2) or a v1 controller. */
export interface Hierarchy {
  controller: string;
  mount: string;
}

/** v1 controllers that Slurm and runc need in a node; memory is left to whoever started the testbed. */
const wantedV1 = ['freezer', 'cpuset', 'devices'];

/**
 * The hierarchies of this machine: pure cgroup2, or cgroup2 beside v1 controllers ("hybrid").
 * @throws RankshiftError E_MISSING where no cgroup2 is mounted: processes could not be found again after a crash.
 */
export function findHierarchies(mounts: string = readFileSync('/proc/self/mounts', 'utf8')): Hierarchy[] {
  const found: Hierarchy[] = [];
  for (const line of mounts.split('\n')) {
    const [, mount = '', type = '', options = ''] = line.split(' ');
    if (type === 'cgroup2') found.push({ controller: 'unified', mount });
    if (type !== 'cgroup') continue;
    const controller = options.split(',').find((option) => wantedV1.includes(option));
    if (controller !== undefined) found.push({ controller, mount });
  }
  const unique = found.filter(({ controller }, index) => index === found.findIndex((h) => h.controller === controller));
  if (unique.some(({ controller }) => controller === 'unified')) return unique;
  throw new RankshiftError('E_MISSING', 'no cgroup2 file system is mounted', {
    action: 'Mount one: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified',
  });
}

/** Directory of a testbed in one hierarchy. */
export function testbedCgroup(mount: string, testbed: string): string {
  return join(mount, 'rankshift-testbed', testbed);
}

/** Makes the cgroup of one node. A v1 cpuset takes no process before it has processors and memory nodes. */
export function createNodeCgroup(controller: string, dir: string, node: string): string {
  const path = join(dir, node);
  mkdirSync(path, { recursive: true });
  if (controller === 'cpuset') {
    for (const level of [join(dir, '..'), dir, path]) {
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        writeFileSync(join(level, file), readFileSync(join(level, '..', file), 'utf8'));
      }
    }
  }
  return path;
}

/**
 * Kills every process in the cgroup and below, and removes the cgroups. A process is found by its cgroup alone, never by
 * its name. Fine where the cgroup is absent.
 * @throws RankshiftError E_TIMEOUT where a process survives SIGKILL for 20 s (uninterruptible sleep).
 */
export async function destroyCgroup(dir: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (existsSync(dir)) {
    for (const path of [...descendants(dir), dir]) {
      thaw(path);
      killAll(path);
    }
    if (removeTree(dir)) return;
    if (performance.now() > deadline) {
      throw new RankshiftError('E_TIMEOUT', `processes in ${dir} do not end: ${processesIn(dir).join(', ')}`);
    }
    await sleep(10);
  }
}

/** Cgroups below dir, deepest first. */
function descendants(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [...descendants(join(dir, entry.name)), join(dir, entry.name)]);
}

function processesIn(dir: string): number[] {
  try {
    return [...descendants(dir), dir].flatMap((path) =>
      readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** A task in a frozen v1 cgroup does not act on SIGKILL; in cgroup2 it does. */
function thaw(path: string): void {
  try {
    if (existsSync(join(path, 'freezer.state'))) writeFileSync(join(path, 'freezer.state'), 'THAWED');
  } catch {
    // The cgroup went away in between.
  }
}

function killAll(path: string): void {
  try {
    if (existsSync(join(path, 'cgroup.kill'))) {
      writeFileSync(join(path, 'cgroup.kill'), '1');
      return;
    }
    for (const pid of readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) {
      process.kill(Number(pid), 'SIGKILL');
    }
  } catch {
    // The cgroup or the process went away in between.
  }
}

function removeTree(dir: string): boolean {
  try {
    for (const path of [...descendants(dir), dir]) rmdirSync(path);
    return true;
  } catch {
    return !existsSync(dir);
  }
}

/** Removes an empty parent, if it is empty. */
export function removeCgroupIfEmpty(dir: string): void {
  try {
    if (statSync(dir).isDirectory()) rmdirSync(dir);
  } catch {
    // In use by another testbed, or absent.
  }
}
