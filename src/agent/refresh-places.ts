import { RankshiftError } from '../errors.ts';
import type { ContainerFacts } from '../migration/commands.ts';
import { overlayIdentity } from '../network/identity.ts';
import { linkNames } from '../network/overlay.ts';
import { setPeers } from '../network/repoint.ts';
import { patiently } from '../patience.ts';
import { listJobContainers } from '../store/containers.ts';
import { readHeartbeat } from '../store/nodes.ts';
import type { AgentContext } from './context.ts';
import { listLocalContainers, listRoles } from './files.ts';
import { jobNodes } from './job-nodes.ts';
import { doneSchema } from './messages.ts';
import { connectFor } from './switch-connections.ts';

/**
 * Sets this node's forwarding tables of a job by the owners in the records, also where a container of it is only
 * expected. Does nothing where the job is not here. A container whose switch is open is left alone: its source sets the
 * tables by itself, ahead of the record.
 */
export async function refreshPlaces(context: AgentContext, job: number): Promise<void> {
  const { config, redis, node } = context;
  const facts = await factsOf(context, job);
  if (facts === null) return;
  const { vni, vxlan } = overlayIdentity(job, facts.index, config);
  const places = [];
  for (const { index, owner, switch: open } of await listJobContainers(redis, job, facts.containers)) {
    if (open !== '') continue;
    const { mac, hostInterface } = overlayIdentity(job, index, config);
    if (owner === node) {
      places.push({ mac, nodeAddress: 'local' as const, hostInterface });
      continue;
    }
    const heartbeat = await readHeartbeat(redis, owner);
    if (heartbeat !== null) places.push({ mac, nodeAddress: heartbeat.address });
  }
  // What is being made ready asks again by itself when it has its overlay.
  if (!(await linkNames()).includes(vxlan)) return;
  await setPeers(vni, places);
}

/** Of any container of the job that is here, or comes or goes. */
async function factsOf({ config }: AgentContext, job: number): Promise<ContainerFacts | null> {
  const local = (await listLocalContainers(config)).find(({ facts }) => facts.job === job);
  if (local !== undefined) return local.facts;
  return (await listRoles(config)).find(({ facts }) => facts.job === job)?.facts ?? null;
}

/** Tells the agents of all other nodes of a job to do the same. @throws RankshiftError where one cannot be told. */
export async function refreshPeers(
  context: AgentContext,
  { job, containers }: Pick<ContainerFacts, 'job' | 'containers'>,
): Promise<void> {
  const [nodes] = await Promise.all([jobNodes(context, { job, containers }), refreshPlaces(context, job)]);
  const told = await Promise.allSettled(
    nodes.filter(({ node }) => node !== context.node).map((to) => tellToRefresh(context, job, to)),
  );
  const failed = told.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw RankshiftError.from(failed.reason);
}

async function tellToRefresh(
  context: AgentContext,
  job: number,
  { node, address, port }: Awaited<ReturnType<typeof jobNodes>>[number],
): Promise<void> {
  const channel = await connectFor(context, { node, address, port }, { op: 'refresh', job });
  try {
    await channel.next(doneSchema, { timeoutMs: patiently(5000) });
  } finally {
    channel.destroy();
  }
}

/**
 * After a commit, where other containers of the job move too: who was made ready since the tables were set has them from
 * the record of that time. Never throws: what was not told is told by finish.ts.
 */
export async function refreshWhereOthersMove(context: AgentContext, facts: ContainerFacts): Promise<void> {
  try {
    const records = await listJobContainers(context.redis, facts.job, facts.containers);
    if (!records.some(({ id, heading }) => id !== facts.id && heading !== '')) return;
    await refreshPeers(context, facts);
  } catch (error) {
    context.log.warn({ container: facts.id, error: (error as Error).message }, 'a peer was not told yet');
  }
}
