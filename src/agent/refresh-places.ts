import { overlayIdentity } from '../network/identity.ts';
import { setPeers } from '../network/repoint.ts';
import { patiently } from '../patience.ts';
import { listContainers } from '../store/containers.ts';
import { readHeartbeat } from '../store/nodes.ts';
import type { AgentContext } from './context.ts';
import { listLocalContainers } from './files.ts';
import { doneSchema } from './messages.ts';
import { connectFor } from './switch-connections.ts';

/**
 * Sets this node's forwarding tables of a job by the owners in the records. Does nothing where the job is not here;
 * with `unlessMoving` neither while a switch is open, whose source sets the tables by itself, ahead of the record.
 */
export async function refreshPlaces(
  context: AgentContext,
  job: number,
  { unlessMoving = false }: { unlessMoving?: boolean } = {},
): Promise<void> {
  const { config, redis, node } = context;
  const here = (await listLocalContainers(config)).filter((local) => local.facts.job === job);
  const first = here[0];
  if (first === undefined) return;
  const records = (await listContainers(redis)).filter((record) => record.job === job);
  if (unlessMoving && records.some((record) => record.switch !== '')) return;
  const places = [];
  for (const { index, owner } of records) {
    const identity = overlayIdentity(job, index, config);
    if (owner === node) {
      places.push({ mac: identity.mac, nodeAddress: 'local' as const, hostInterface: identity.hostInterface });
      continue;
    }
    const heartbeat = await readHeartbeat(redis, owner);
    if (heartbeat !== null) places.push({ mac: identity.mac, nodeAddress: heartbeat.address });
  }
  await setPeers(overlayIdentity(job, first.facts.index, config).vni, places);
}

/** Tells the agents of all other nodes of a job to do the same. @throws RankshiftError where one cannot be told. */
export async function refreshPeers(context: AgentContext, job: number): Promise<void> {
  const { redis, node } = context;
  const records = (await listContainers(redis)).filter((record) => record.job === job && record.owner !== node);
  await refreshPlaces(context, job);
  await Promise.all(
    [...new Set(records.map((record) => record.owner))].map(async (owner) => {
      const heartbeat = await readHeartbeat(redis, owner);
      if (heartbeat === null) return;
      const { address, port } = heartbeat;
      const channel = await connectFor(context, { node: owner, address, port }, { op: 'refresh', job });
      try {
        await channel.next(doneSchema, { timeoutMs: patiently(5000) });
      } finally {
        channel.destroy();
      }
    }),
  );
}
