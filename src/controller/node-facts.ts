import { RankshiftError } from '../errors.ts';
import type { AgentAddress } from '../migration/commands.ts';
import type { NodeFacts } from '../migration/plan.ts';
import { shareLooks } from '../shared-look.ts';
import type { NodeFacts as SlurmFacts } from '../slurm/facts.ts';
import { slurmView } from '../slurm/view.ts';
import { listContainers } from '../store/containers.ts';
import { leavingNodes } from '../store/groups.ts';
import { type Heartbeat, listNodes, reportedNodes } from '../store/nodes.ts';
import { agentLately, heartbeatLately } from '../store/nodes-lately.ts';
import { reservedMemory } from '../store/reservations.ts';
import type { ControllerContext } from './context.ts';

/**
 * From so many nodes on, a look serves those who ask within two seconds after it too, from two thousand on within a second
 * for each thousand: it takes its time.
 */
const many = 64;
const keptMs = 2000;

/** What is asked for all nodes at once. */
interface ClusterView {
  /** Null where Slurm never answered. */
  slurm: ReadonlyMap<string, SlurmFacts> | null;
  leaving: ReadonlyMap<string, string>;
}
interface Looks {
  nodes: () => Promise<NodeFacts[]>;
  cluster: () => Promise<ClusterView>;
}
const looks = new WeakMap<ControllerContext, Looks>();

function looksOf(context: ControllerContext): Looks {
  const known = looks.get(context);
  if (known !== undefined) return known;
  const keep = (count: number) => (count < many ? 0 : Math.max(keptMs, count));
  const made: Looks = {
    nodes: shareLooks(
      () => lookAtNodes(context),
      ({ length }) => keep(length),
    ),
    cluster: shareLooks(
      () => lookAtCluster(context),
      ({ slurm }) => keep(slurm?.size ?? 0),
    ),
  };
  looks.set(context, made);
  return made;
}

/**
 * Every node that Slurm or we know, as the plan sees it. What layers a target lacks is for the caller to find out. What
 * a plan counts on is reserved after the look, by what the node says then: others may share it.
 */
export function gatherNodes(context: ControllerContext): Promise<NodeFacts[]> {
  return looksOf(context).nodes();
}

/**
 * The same of these nodes alone, as far as Slurm or we know them, but for the number of their containers, which is left at
 * 0: what a move to a named target needs costs no more on a large cluster than on a small one.
 */
export async function gatherNamed(context: ControllerContext, names: readonly string[]): Promise<NodeFacts[]> {
  const wanted = [...new Set(names)];
  const [view, heartbeats, reserved] = await Promise.all([
    looksOf(context).cluster(),
    Promise.all(wanted.map((name) => heartbeatLately(context.redis, name))),
    reservedMemory(context.redis, wanted),
  ]);
  const silent = wanted.filter((_, index) => heartbeats[index] === null);
  const there = await reportedNodes(context.redis, silent);
  return wanted.flatMap((name, index) =>
    heartbeats[index] !== null || there[silent.indexOf(name)] === true || view.slurm?.has(name)
      ? [describeNode(name, heartbeats[index] ?? null, view, 0, reserved[index] ?? 0)]
      : [],
  );
}

/** Whether Slurm knows a node, or its agent ever reported. */
export async function isKnown(context: ControllerContext, name: string): Promise<boolean> {
  if ((await heartbeatLately(context.redis, name)) !== null) return true;
  const [view, [there]] = await Promise.all([looksOf(context).cluster(), reportedNodes(context.redis, [name])]);
  return there === true || view.slurm?.has(name) === true;
}

async function lookAtCluster({ config, redis, log }: ControllerContext): Promise<ClusterView> {
  const [answered, leaving] = await Promise.all([
    slurmView(config).catch((error: Error) => {
      log.warn({ error: error.message }, 'Slurm did not answer');
      return null;
    }),
    leavingNodes(redis),
  ]);
  return { slurm: answered === null ? null : new Map(answered.map((node) => [node.name, node])), leaving };
}

async function lookAtNodes(context: ControllerContext): Promise<NodeFacts[]> {
  const { redis } = context;
  const [known, containers, view] = await Promise.all([
    listNodes(redis),
    listContainers(redis),
    looksOf(context).cluster(),
  ]);
  const heartbeats = new Map(known.map(({ name, heartbeat }) => [name, heartbeat]));
  const names = [...new Set([...heartbeats.keys(), ...(view.slurm?.keys() ?? [])])];
  const reserved = await reservedMemory(redis, names);
  const counts = new Map<string, number>();
  for (const { owner, heading, state } of containers) {
    if (state === 'ended') continue;
    for (const name of new Set([owner, heading])) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return names.map((name, index) =>
    describeNode(name, heartbeats.get(name) ?? null, view, counts.get(name) ?? 0, reserved[index] ?? 0),
  );
}

function describeNode(
  name: string,
  heartbeat: Heartbeat | null,
  { slurm, leaving }: ClusterView,
  containers: number,
  reserved: number,
): NodeFacts {
  const facts = slurm?.get(name);
  return {
    name,
    agentAlive: heartbeat !== null,
    slurmStates: facts?.state ?? (slurm === null ? ['unknown'] : []),
    leaving: leaving.get(name) ?? '',
    cpusFree: facts === undefined ? null : facts.cpus - facts.allocatedCpus,
    slurmCpus: facts?.cpus ?? null,
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
  const agent = await agentLately(redis, node);
  if (agent === null) throw new RankshiftError('E_AGENT', `the agent on ${node} does not answer`, { retryable: true });
  return { node, address: agent.address, port: agent.port };
}
