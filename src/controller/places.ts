import type { AgentAddress, Places } from '../migration/commands.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { listContainers, listJobContainers } from '../store/containers.ts';
import { readRun } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';
import { agentAddress } from './node-facts.ts';

/** The containers of one job, in the order of their indices: its run says how many there are. */
export async function containersOfJob({ redis }: ControllerContext, job: number): Promise<ContainerRecord[]> {
  const run = await readRun(redis, job);
  if (run !== null) return await listJobContainers(redis, job, run.containers);
  return (await listContainers(redis)).filter((container) => container.job === job);
}

/** Container index -> address of its node, for every container of a job. */
export async function containerPlaces(context: ControllerContext, job: number): Promise<Places> {
  const containers = await containersOfJob(context, job);
  const owners = [...new Set(containers.map((container) => container.owner))];
  const addresses = new Map<string, string>();
  for (const owner of owners) addresses.set(owner, (await agentAddress(context, owner)).address);
  return Object.fromEntries(containers.map(({ index, owner }) => [String(index), addresses.get(owner) ?? '']));
}

/** Agents of the nodes that have containers of a job, without the excluded ones. */
export async function peerAgents(context: ControllerContext, job: number, excluded: string[]): Promise<AgentAddress[]> {
  const containers = await containersOfJob(context, job);
  const owners = [...new Set(containers.map((container) => container.owner))].filter(
    (owner) => !excluded.includes(owner),
  );
  return Promise.all(owners.map((owner) => agentAddress(context, owner)));
}
