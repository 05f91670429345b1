import { RankshiftError } from '../errors.ts';
import type { AgentAddress } from '../migration/commands.ts';
import type { NodeFacts } from '../migration/plan.ts';
import { slurmView } from '../slurm/view.ts';
import { listContainers } from '../store/containers.ts';
import { leavingNodes } from '../store/groups.ts';
import { type Heartbeat, listNodes, readHeartbeat } from '../store/nodes.ts';
import { reservedMemory } from '../store/reservations.ts';
import type { ControllerContext } from './context.ts';

/** Every node that Slurm or we know, as the plan sees it. What layers a target lacks is for the caller to find out. */
export async function gatherNodes({ config, redis, log }: ControllerContext): Promise<NodeFacts[]> {
  const [known, containers, answered, leaving] = await Promise.all([
    listNodes(redis),
    listContainers(redis),
    slurmView(config).catch((error: Error) => {
      log.warn({ error: error.message }, 'Slurm did not answer');
      return null;
    }),
    leavingNodes(redis),
  ]);
  const slurm = answered === null ? null : new Map(answered.map((node) => [node.name, node]));
  const heartbeats = new Map(known.map(({ name, heartbeat }) => [name, heartbeat]));
  const names = [...new Set([...heartbeats.keys(), ...(slurm?.keys() ?? [])])];
  const reserved = await Promise.all(names.map((name) => reservedMemory(redis, name)));
  return names.map((name, index) => {
    const count = containers.filter(
      ({ owner, heading, state }) => (owner === name || heading === name) && state !== 'ended',
    ).length;
    const facts = slurm?.get(name);
    const states = facts?.state ?? (slurm === null ? ['unknown'] : []);
    return {
      ...describeNode(name, heartbeats.get(name) ?? null, states, count, reserved[index] ?? 0),
      leaving: leaving.get(name) ?? '',
      cpusFree: facts === undefined ? null : facts.cpus - facts.allocatedCpus,
      slurmCpus: facts?.cpus ?? null,
    };
  });
}

function describeNode(
  name: string,
  heartbeat: Heartbeat | null,
  states: string[],
  containers: number,
  reserved: number,
): NodeFacts {
  return {
    name,
    agentAlive: heartbeat !== null,
    slurmStates: states,
    containers,
    // Without what moves under way are going to need.
    memoryAvailableBytes: Math.max(0, (heartbeat?.memoryAvailableBytes ?? 0) - reserved),
    stateDirFreeBytes: heartbeat?.stateDirFreeBytes ?? 0,
    cpuFlags: heartbeat?.cpuFlags ?? [],
    missingLayers: [],
    storeFreeBytes: null,
    pagesOk: heartbeat?.pages.ok ?? false,
    pagesReason: heartbeat?.pages.reason ?? '',
    softDirtyOk: heartbeat?.softDirty ?? false,
    criuOk: heartbeat?.criu.ok ?? false,
    kernel: heartbeat?.kernel ?? 'unknown',
    ...(heartbeat === null
      ? {}
      : { cpus: heartbeat.cpus, load: heartbeat.load, memoryTotalBytes: heartbeat.memoryTotalBytes }),
  };
}

/**
 * Where the agent of a node listens.
 * @throws RankshiftError E_AGENT where it does not answer.
 */
export async function agentAddress({ redis }: ControllerContext, node: string): Promise<AgentAddress> {
  const heartbeat = await readHeartbeat(redis, node);
  if (heartbeat === null)
    throw new RankshiftError('E_AGENT', `the agent on ${node} does not answer`, { retryable: true });
  return { node, address: heartbeat.address, port: heartbeat.port };
}
