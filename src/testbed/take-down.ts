import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../process/run.ts';
import { destroyCgroup, findHierarchies, removeCgroupIfEmpty, testbedCgroup } from './cgroups.ts';
import { removeFabric } from './fabric.ts';
import { restoreHostSysctls } from './host-sysctls.ts';
import { withLock } from './lock.ts';
import { lockFile, stateRoot, testbedPaths } from './paths.ts';
import { findState, listTestbeds } from './state.ts';

/** Longest wait for an `up` of the same testbed that is under way. */
const lockWaitMs = 120_000;

/**
 * Removes a testbed: processes (by their cgroup), with them namespaces, mounts and links, then cgroups and files. Needs
 * nothing but the name, so it works on what a killed `up` left as well; twice is fine.
 * @returns false where there was nothing of that name.
 */
export async function takeDown(name: string): Promise<boolean> {
  const paths = testbedPaths(name);
  return await withLock(paths.lockFile, lockWaitMs, async () => {
    const existed = existsSync(paths.dir);
    await release(name);
    return existed;
  });
}

/** As takeDown, for whoever holds the testbed's lock. */
export async function release(name: string): Promise<void> {
  const paths = testbedPaths(name);
  const hierarchies = findHierarchies();
  // cgroup2 first: its cgroup.kill reaches every process of the testbed at once.
  const unifiedFirst = hierarchies.toSorted((a) => (a.controller === 'unified' ? -1 : 1));
  // A task that sits in a frozen v1 cgroup has to be thawed while it dies, so all hierarchies go together.
  await Promise.all(unifiedFirst.map(({ mount }) => destroyCgroup(testbedCgroup(mount, name))));
  await removeFabric(name);
  for (const dir of [dataDirOf(name), paths.dataDir, paths.dir]) {
    await run('rm', ['-rf', '--one-file-system', dir], { timeoutMs: 120_000 });
  }
  await withLock(lockFile('machine'), 10_000, async () => {
    if (listTestbeds().length > 0) return;
    for (const { mount } of hierarchies) removeCgroupIfEmpty(join(mount, 'rankshift-testbed'));
    restoreHostSysctls();
    rmSync(stateRoot, { recursive: true, force: true });
  });
}

/** Where the data lies: `up` may have used another cache than we do. */
function dataDirOf(name: string): string {
  try {
    return findState(name)?.dataDir ?? testbedPaths(name).dataDir;
  } catch {
    return testbedPaths(name).dataDir; // A state that cannot be read must not keep a testbed from going.
  }
}
