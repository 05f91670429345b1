import type { Dirent } from 'node:fs';
import { access, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { unescapeMountPath } from './rootfs.ts';

/** Freezing thousands of threads takes milliseconds; one in uninterruptible sleep (a dead NFS server) takes for ever. */
const freezeTimeoutMs = 5000;
/** A freeze mostly ends within this many turns of the event loop; after that it is asked every millisecond. */
const quickTurns = 50;

/**
 * The cgroup2 directory of a process on this node.
 * @throws RankshiftError E_UNKNOWN_CONTAINER where the process is gone, E_MISSING without cgroup2.
 */
export async function containerCgroup(pid: number): Promise<string> {
  const lines = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch((cause: Error) => {
    throw new RankshiftError('E_UNKNOWN_CONTAINER', `no process ${pid}`, { cause });
  });
  // The unified hierarchy is the line with number 0 and no controllers (cgroups(7)).
  const path = /^0::(\/.*)$/m.exec(lines)?.[1];
  const mount = await cgroupMount();
  if (path === undefined || mount === null) throw new RankshiftError('E_MISSING', 'this node has no cgroup2 mounted');
  return join(mount.point, relative(mount.root, path));
}

/** Where this node has its cgroup2 hierarchy, or null. */
export async function cgroupMount(): Promise<{ point: string; root: string } | null> {
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    if (!line.includes(' - cgroup2 ')) continue;
    const [, , , root = '/', point = ''] = line.split(' ');
    return { point: unescapeMountPath(point), root: unescapeMountPath(root) };
  }
  return null;
}

/**
 * Stops every process of a cgroup and returns when all are stopped (cgroup-v2.rst, cgroup.freeze).
 * @throws RankshiftError E_TIMEOUT where a process cannot be stopped; the others run on then.
 */
export async function freeze(cgroupDir: string, timeoutMs: number = freezeTimeoutMs): Promise<void> {
  await write(cgroupDir, 'cgroup.freeze', '1');
  if (await reaches(cgroupDir, 'frozen', 1, timeoutMs)) return;
  await write(cgroupDir, 'cgroup.freeze', '0');
  throw new RankshiftError('E_TIMEOUT', `${cgroupDir} did not freeze within ${timeoutMs} ms`);
}

/** Lets a frozen cgroup run on. @throws RankshiftError E_TIMEOUT where it does not. */
export async function thaw(cgroupDir: string, timeoutMs: number = freezeTimeoutMs): Promise<void> {
  await write(cgroupDir, 'cgroup.freeze', '0');
  if (await reaches(cgroupDir, 'frozen', 0, timeoutMs)) return;
  throw new RankshiftError('E_TIMEOUT', `${cgroupDir} did not thaw within ${timeoutMs} ms`);
}

/** Whether the processes of a cgroup are stopped now. */
export async function isFrozen(cgroupDir: string): Promise<boolean> {
  return (await event(cgroupDir, 'frozen')) === 1;
}

/**
 * Kills every process of a cgroup, frozen ones too, and returns when none is left. A cgroup that is gone is done.
 * @throws RankshiftError E_TIMEOUT where processes survive, E_MISSING on a kernel before 5.14.
 */
export async function killCgroup(cgroupDir: string, timeoutMs = 10_000): Promise<void> {
  if ((await event(cgroupDir, 'populated')) === null) return;
  await write(cgroupDir, 'cgroup.kill', '1');
  if (await reaches(cgroupDir, 'populated', 0, timeoutMs)) return;
  throw new RankshiftError('E_TIMEOUT', `processes of ${cgroupDir} survived SIGKILL for ${timeoutMs} ms`);
}

/** Removes an empty cgroup with those below it. One that is gone is done. @throws where a process is left in it. */
export async function removeCgroup(cgroupDir: string): Promise<void> {
  const entries = await readdir(cgroupDir, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeCgroup(join(cgroupDir, entry.name));
  await rmdir(cgroupDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** Ids of all processes of a cgroup and of those below it. An absent cgroup has none. */
export async function processesOf(cgroupDir: string): Promise<number[]> {
  const own = await ownProcessesOf(cgroupDir);
  const entries = await readdir(cgroupDir, { withFileTypes: true }).catch(absent<Dirent[]>([]));
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => processesOf(join(cgroupDir, entry.name))),
  );
  return [...own, ...below.flat()];
}

/** The same without those below it. */
export async function ownProcessesOf(cgroupDir: string): Promise<number[]> {
  const text = await readFile(join(cgroupDir, 'cgroup.procs'), 'utf8').catch(absent(''));
  return text.split('\n').flatMap((line) => (line === '' ? [] : [Number(line)]));
}

/** For a cgroup that is gone. What cannot be read for another reason is not taken for empty. */
function absent<T>(nothing: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ENODEV') return nothing;
    throw error;
  };
}

async function write(cgroupDir: string, file: string, value: string): Promise<void> {
  const path = join(cgroupDir, file);
  // Not created: in a directory that is no cgroup the file would be a plain one.
  await access(path).catch((cause: Error) => {
    throw new RankshiftError('E_MISSING', `${path} does not exist: no cgroup2 of a running container`, { cause });
  });
  await writeFile(path, value, { flag: 'r+' });
}

/** A value of cgroup.events, null where the cgroup is gone. */
async function event(cgroupDir: string, key: 'frozen' | 'populated'): Promise<number | null> {
  const text = await readFile(join(cgroupDir, 'cgroup.events'), 'utf8').catch(() => null);
  if (text === null) return null;
  return new RegExp(`^${key} 1$`, 'm').test(text) ? 1 : 0;
}

async function reaches(cgroupDir: string, key: 'frozen' | 'populated', value: 0 | 1, timeoutMs: number) {
  const deadline = performance.now() + timeoutMs;
  for (let count = 0; ; count++) {
    const now = await event(cgroupDir, key);
    // A cgroup that has gone holds no process: neither frozen nor populated.
    if ((now ?? 0) === value) return true;
    if (performance.now() > deadline) return false;
    await (count < quickTurns ? turn() : sleep(1));
  }
}
