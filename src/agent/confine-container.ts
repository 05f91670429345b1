import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { confine, unconfine } from '../container/confine.ts';
import { cgroupDirectory, cgroupPath } from '../container/find-init.ts';
import type { ContainerFacts } from '../migration/commands.ts';
import { cpusetMounts, jobCores } from '../slurm/cores.ts';
import type { AgentContext } from './context.ts';

async function mounts() {
  return cpusetMounts(await readFile('/proc/self/mountinfo', 'utf8'));
}

function v1Directory(cpuset: string | null, job: number, index: number): string | null {
  return cpuset === null ? null : join(cpuset, cgroupPath(job, index));
}

/**
 * Holds a container to the processors that Slurm gave, on this node, to its job or to the shadow that holds the node.
 * Where Slurm constrains nothing, neither do we.
 * @returns the processors, or null.
 */
export async function confineContainer(
  { log }: AgentContext,
  { id, job, index, uid }: Pick<ContainerFacts, 'id' | 'job' | 'index' | 'uid'>,
  slurmJob: number,
): Promise<string | null> {
  const places = await mounts();
  const cores = await jobCores(places, uid, slurmJob);
  if (cores === null) return null;
  const done = await confine(await cgroupDirectory(job, index), v1Directory(places.cpuset, job, index), cores);
  log.info({ container: id, slurmJob, cores }, done ? 'confined to processors' : 'no cpuset to confine it with');
  return done ? cores : null;
}

/** What confinement left of a container whose processes are gone. */
export async function unconfineContainer(job: number, index: number): Promise<void> {
  await unconfine(v1Directory((await mounts()).cpuset, job, index));
}
