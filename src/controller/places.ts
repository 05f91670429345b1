import type { AgentAddress, Places } from '../migration/commands.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { listContainers, listJobContainers, listPlaces } from '../store/containers.ts';
import { readRun } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';
import { agentAddress } from './node-facts.ts';

/** The containers of one job, in the order of their indices: its run says how many there are. */
export async function containersOfJob({ redis }: ControllerContext, job: number): Promise<ContainerRecord[]> {
  const run = await readRun(redis, job);
  if (run !== null) return await listJobContainers(redis, job, run.containers);
  return (await listContainers(redis)).filter((container) => container.job === job);
}

/** The same, of each its index and its node: what a move has to know of its peers. */
export async function placesOfJob({ redis }: ControllerContext, job: number): Promise<Place[]> {
  const run = await readRun(redis, job);
  if (run !== null) return await listPlaces(redis, job, run.containers);
  return (await listContainers(redis)).filter((container) => container.job === job);
}
export type Place = Pick<ContainerRecord, 'index' | 'owner'>;

/** Container index -> address of its node, for every container of a job. */
export async function containerPlaces(context: ControllerContext, containers: readonly Place[]): Promise<Places> {
  const owners = [...new Set(containers.map((container) => container.owner))];
  const addresses = new Map(
    await Promise.all(owners.map(async (owner) => [owner, (await agentAddress(context, owner)).address] as const)),
  );
  return Object.fromEntries(containers.map(({ index, owner }) => [String(index), addresses.get(owner) ?? '']));
}

/** Agents of the nodes that have containers of a job, without the excluded ones. */
export async function peerAgents(
  context: ControllerContext,
  containers: readonly Place[],
  excluded: string[],
): Promise<AgentAddress[]> {
  const owners = [...new Set(containers.map((container) => container.owner))].filter(
    (owner) => !excluded.includes(owner),
  );
  return Promise.all(owners.map((owner) => agentAddress(context, owner)));
}
