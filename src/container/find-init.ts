import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { cgroupMount, processesOf } from './cgroup.ts';
import { runcId } from './runc.ts';

/** Path of a container's cgroup below the node's cgroup2 root. */
export function cgroupPath(job: number, index: number): string {
  return `/rankshift/${runcId(job, index)}`;
}

/** The cgroup directory of a container on this node; it exists while the container does. */
export async function cgroupDirectory(job: number, index: number): Promise<string> {
  const mount = await cgroupMount();
  if (mount === null) throw new RankshiftError('E_MISSING', 'this node has no cgroup2 mounted');
  return join(mount.point, cgroupPath(job, index));
}

/**
 * PID 1 of a container in this node's process numbers, or null where the container does not run here. Found through its
 * cgroup, not through `runc state`: runc knows its containers by the start time of their PID 1, which reads differently
 * in each time namespace (time_namespaces(7)), so it takes every moved container for a stopped one.
 */
export async function findInit(job: number, index: number): Promise<number | null> {
  const pids = await processesOf(await cgroupDirectory(job, index));
  for (const pid of pids) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ESRCH') return '';
      throw error;
    });
    const numbers = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/);
    if (numbers?.at(-1) === '1' && numbers.length > 1 && !/^State:\s+[ZX]/m.test(status)) return pid;
  }
  return null;
}
