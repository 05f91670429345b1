import type { GroupOrigin } from '../migration/group.ts';
import {
  type NodeLook,
  type NodeWatch,
  nodeWatchSchema,
  type WatchAction,
  watchNode,
} from '../migration/node-watch.ts';
import { patiently } from '../patience.ts';
import { slurmView } from '../slurm/view.ts';
import { keyPrefix } from '../store/connection.ts';
import { listContainers } from '../store/containers.ts';
import { createGroup, listActiveGroups, readGroup } from '../store/groups.ts';
import { HeldLease } from '../store/leases.ts';
import { listLeft, nodesLeft } from '../store/left.ts';
import { listNodes } from '../store/nodes.ts';
import type { ControllerContext } from './context.ts';
import { type GroupWish, startGroup } from './evacuate.ts';

const key = `${keyPrefix}:node-watch`;
const lease = 'node-watch';
const leaseMs = patiently(10_000);
const service = { uid: 0, name: 'root' };

/**
 * Looks at the states that Slurm gives to nodes with containers, now and then and whenever a trigger of Slurm's says that
 * something has changed: the triggers make it faster, and what they miss is found all the same.
 * @returns looks at once; for triggers.
 */
export function watchNodes(context: ControllerContext): (origin: GroupOrigin) => Promise<void> {
  const { config, log } = context;
  if (!config.evacuateOnDrain) return async () => undefined;
  let looking = Promise.resolve();
  const lookOnce = (origin: GroupOrigin) => {
    looking = looking
      .then(() => look(context, origin))
      .catch((error: Error) => log.warn({ error: error.message }, 'watching the states of nodes'));
    return looking;
  };
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    void lookOnce('watch').finally(() => {
      busy = false;
    });
  }, config.nodeWatchMs);
  context.stopping.addEventListener('abort', () => clearInterval(timer));
  return lookOnce;
}

async function look(context: ControllerContext, origin: GroupOrigin): Promise<void> {
  const held = await HeldLease.take(context.redis, lease, leaseMs);
  if (held === null) return;
  try {
    await lookWith(context, held, origin);
  } finally {
    await held.drop();
  }
}

async function lookWith(context: ControllerContext, held: HeldLease, origin: GroupOrigin): Promise<void> {
  const { redis, config } = context;
  const containers = (await listContainers(redis)).filter(({ state }) => state !== 'ended');
  const remembered = await redis.hgetall(key);
  // Nodes that nothing is on and nothing left are nobody's business: Slurm is not asked.
  const away = new Map<string, number[]>();
  for (const node of await nodesLeft(redis)) {
    const left = await listLeft(redis, node, containers);
    if (left.length > 0)
      away.set(
        node,
        left.map(({ at }) => at),
      );
  }
  const names = new Set([...containers.map(({ owner }) => owner), ...away.keys(), ...Object.keys(remembered)]);
  if (names.size === 0) return;
  const [nodes, agents, groups] = await Promise.all([slurmView(config), listNodes(redis), listActiveGroups(redis)]);
  const alive = new Set(agents.filter(({ heartbeat }) => heartbeat !== null).map(({ name }) => name));
  for (const { name, state } of nodes) {
    if (!names.has(name)) continue;
    const before = parse(remembered[name]);
    const ended = before?.group == null ? null : await readGroup(redis, before.group).catch(() => null);
    const seen: NodeLook = {
      states: state,
      agentAlive: alive.has(name),
      containers: containers.filter(({ owner }) => owner === name).length,
      leftAt: away.get(name) ?? [],
      busy: groups.some((group) => group.kind !== 'set' && group.nodes.includes(name)),
      ended: ended?.state ?? null,
    };
    const { watch, action } = watchNode(before, seen, config, Date.now());
    const idle = watch.phase === 'in service' && seen.containers === 0 && seen.leftAt.length === 0;
    if (idle && Date.now() - (watch.actedAt ?? 0) > config.holdDownMs) {
      await redis.hdel(key, name);
      continue;
    }
    await held.confirm();
    // Before it is done: whoever dies in between leaves it for the next look, after the hold-down.
    await redis.hset(key, name, JSON.stringify(watch));
    const group = action === null ? null : await act(context, name, action, origin, state);
    if (group !== null) await redis.hset(key, name, JSON.stringify({ ...watch, group }));
  }
}

/** @returns the group that was started, or joined. */
async function act(
  context: ControllerContext,
  node: string,
  action: Exclude<WatchAction, null>,
  origin: GroupOrigin,
  states: readonly string[],
): Promise<string | null> {
  const { log } = context;
  const reason = `${node} is ${states.filter((state) => !['idle', 'mixed', 'allocated'].includes(state)).join(', ') || 'back in service'} in Slurm`;
  try {
    if (action === 'report-lost') return await reportLost(context, node, reason, origin);
    const kind: GroupWish['kind'] = action === 'evacuate' ? 'evacuation' : 'return';
    const wish = { kind, nodes: [node], targets: [], reason, origin };
    const { groups } = await startGroup(context, wish, service);
    return groups.at(-1)?.group.id ?? null;
  } catch (error) {
    log.warn({ node, action, error: (error as Error).message }, 'the state of a node asks for what cannot be done');
    return null;
  }
}

/** Nobody can tell whether the ranks of a node that does not answer still run: nothing is started anywhere else. */
async function reportLost(
  { redis, log }: ControllerContext,
  node: string,
  reason: string,
  origin: GroupOrigin,
): Promise<string> {
  const lost = (await listContainers(redis)).filter(({ owner, state }) => owner === node && state !== 'ended');
  const message = `${reason} and its agent does not answer: the container is not started anywhere else. Make sure that ${node} is off (power, network), then end the job (scancel JOB), or bring the node back: its agent settles what lies there`;
  const members = lost.map(({ id, job }) => ({
    ...{ container: id, job, from: node, to: null, migration: null, tries: 0, notBefore: 0 },
    ...{ state: 'lost' as const, reasons: [{ code: 'needs-operator', message }] },
  }));
  const { id } = await createGroup(redis, {
    ...{ kind: 'evacuation', nodes: [node], targets: [], reason, requestedBy: service, origin, members },
  });
  log.error({ group: id, node, containers: lost.map((container) => container.id) }, message);
  return id;
}

function parse(text: string | undefined): NodeWatch | null {
  if (text === undefined) return null;
  const parsed = nodeWatchSchema.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}
