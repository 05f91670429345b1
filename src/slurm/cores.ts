import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the hierarchies lie that Slurm may keep its jobs in. */
export interface CpusetMounts {
  /** cgroup2, null where there is none. */
  unified: string | null;
  /** The v1 controller cpuset, null where there is none. */
  cpuset: string | null;
}

/** From /proc/self/mountinfo. */
export function cpusetMounts(mountinfo: string): CpusetMounts {
  const mounts: CpusetMounts = { unified: null, cpuset: null };
  for (const line of mountinfo.split('\n')) {
    const point = line.split(' ')[4];
    const [type, , options] = (line.split(' - ')[1] ?? '').split(' ');
    if (point === undefined) continue;
    if (type === 'cgroup2') mounts.unified ??= point;
    if (type === 'cgroup' && options?.split(',').includes('cpuset') === true) mounts.cpuset ??= point;
  }
  return mounts;
}

/**
 * The processors that Slurm constrains a job to on this node, as a list such as `0-1,4`; null where it does not
 * (ConstrainCores=no), or has no cgroup of the job here: without PrologFlags=Contain only nodes with a step have one.
 * Paths: slurm/src/plugins/cgroup, v1 `slurm[_NODE]/uid_U/job_J`, v2 `system.slice/[NODE_]slurmstepd.scope/job_J`.
 */
export async function jobCores({ unified, cpuset }: CpusetMounts, uid: number, job: number): Promise<string | null> {
  const found = [
    ...(cpuset === null ? [] : await below(cpuset, /^slurm/, [`uid_${uid}`, `job_${job}`, 'cpuset.cpus'])),
    ...(unified === null
      ? []
      : await below(join(unified, 'system.slice'), /slurmstepd\.scope$/, [`job_${job}`, 'cpuset.cpus.effective'])),
  ];
  for (const file of found) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (/^[\d,-]+$/.test(text.trim())) return text.trim();
  }
  return null;
}

async function below(dir: string, name: RegExp, rest: string[]): Promise<string[]> {
  const names = await readdir(dir).catch(() => []);
  return names.filter((one) => name.test(one)).map((one) => join(dir, one, ...rest));
}
