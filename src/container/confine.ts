import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { processesOf, removeCgroup } from './cgroup.ts';

/** A container that forks all the time is followed that often. */
const rounds = 50;

/**
 * Lets the processes of a container run on some processors only, by the cpuset controller, wherever that is: in the
 * container's own cgroup, or in a v1 cgroup of the same name.
 * @param cgroup the container's cgroup2 directory.
 * @param v1 the container's directory in the v1 hierarchy of cpuset; null where there is none.
 * @param cores a list such as `0-1,4`.
 * @returns false where this node has cpuset nowhere.
 */
export async function confine(cgroup: string, v1: string | null, cores: string): Promise<boolean> {
  if (v1 === null) {
    const written = await writeFile(join(cgroup, 'cpuset.cpus'), cores, { flag: 'r+' }).then(
      () => true,
      () => false,
    );
    return written;
  }
  // A v1 cpuset takes no process before it has processors and memory nodes, and none that its parent lacks.
  const parent = dirname(v1);
  for (const [dir, cpus] of [
    [parent, await readFile(join(dirname(parent), 'cpuset.cpus'), 'utf8')],
    [v1, cores],
  ] as const) {
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'cpuset.mems'), await readFile(join(dirname(dir), 'cpuset.mems'), 'utf8'));
    await writeFile(join(dir, 'cpuset.cpus'), cpus);
  }
  for (let round = 0; round < rounds; round++) {
    const inside = new Set(await processesOf(v1));
    const outside = (await processesOf(cgroup)).filter((pid) => !inside.has(pid));
    if (outside.length === 0) return true;
    // One that has ended meanwhile is none.
    for (const pid of outside) await writeFile(join(v1, 'cgroup.procs'), String(pid)).catch(() => undefined);
  }
  return true;
}

/** The v1 cgroup of a container that is gone. */
export async function unconfine(v1: string | null): Promise<void> {
  if (v1 !== null) await removeCgroup(v1);
}
