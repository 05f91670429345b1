import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import type { GroupKind, GroupMember, GroupOrigin, GroupRecord } from '../migration/group.ts';
import { expandHostlist, foldHostlist } from '../slurm/hostlist.ts';
import { listContainers } from '../store/containers.ts';
import { changeGroup, createGroup, listActiveGroups } from '../store/groups.ts';
import { HeldLease } from '../store/leases.ts';
import { listLeft } from '../store/left.ts';
import type { Caller } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { tellGroupNews } from './group-news.ts';
import { gatherNodes } from './node-facts.ts';
import { type Leaver, planGroup } from './plan-group.ts';

export const evacuationSchema = z.strictObject({
  nodes: z.string().min(1).max(100_000),
  to: z.string().min(1).max(100_000).optional(),
  reason: z.string().max(500).default(''),
  dryRun: z.boolean().default(false),
  origin: z.enum(['command', 'reboot']).default('command'),
});
export const returnSchema = evacuationSchema.pick({ nodes: true, reason: true, dryRun: true });

export interface GroupAnswer {
  group: GroupRecord;
  /** There before: this request joined it. */
  joined: boolean;
}

/** Of a dry run: what would become of each container. */
export interface DryRun {
  plan: GroupMember[];
  /** What a person should know all the same. */
  notes: string[];
}

export interface GroupWish {
  kind: Exclude<GroupKind, 'set'>;
  nodes: string[];
  targets: string[];
  reason: string;
  origin: GroupOrigin;
}

/** @throws RankshiftError E_BAD_INPUT, E_UNKNOWN_NODE, E_REFUSED. */
export async function readWish(
  context: ControllerContext,
  kind: GroupWish['kind'],
  body: z.infer<typeof evacuationSchema>,
): Promise<GroupWish> {
  const nodes = namesIn(body.nodes, kind === 'return' ? 'the nodes to fill again' : 'the nodes to empty');
  const targets = body.to === undefined ? [] : namesIn(body.to, '--to');
  const facts = new Map((await gatherNodes(context)).map((node) => [node.name, node]));
  const unknown = [...nodes, ...targets].filter((name) => !facts.has(name));
  if (unknown.length > 0) {
    throw new RankshiftError(
      'E_UNKNOWN_NODE',
      `there is no node ${foldHostlist(unknown)}; known are ${foldHostlist([...facts.keys()])}`,
    );
  }
  const both = targets.filter((name) => nodes.includes(name));
  if (both.length > 0) {
    throw new RankshiftError('E_BAD_INPUT', `${foldHostlist(both)} is to be emptied and to take what leaves`, {
      action: 'Name nodes with --to that are not being emptied, or none: they are chosen.',
    });
  }
  const busy = (kind === 'return' ? nodes : targets).filter((name) => (facts.get(name)?.leaving ?? '') !== '');
  if (busy.length > 0) {
    const group = facts.get(busy[0] ?? '')?.leaving ?? '';
    throw new RankshiftError('E_REFUSED', `${foldHostlist(busy)} is being emptied (${group}) and takes nothing`, {
      action: `Wait for its end (rankshift show ${group}), call it off (rankshift cancel ${group}), or name other nodes.`,
    });
  }
  return { kind, nodes, targets, reason: body.reason, origin: body.origin };
}

function namesIn(text: string, what: string): string[] {
  const names = [...new Set(expandHostlist(text))];
  if (names.length === 0) throw new RankshiftError('E_BAD_INPUT', `${what}: the host list names no node`);
  return names;
}

/** What a group would do, and nothing done. */
export async function planWish(context: ControllerContext, wish: GroupWish): Promise<DryRun> {
  const plan = await membersOf(context, wish, wish.nodes);
  return { plan, notes: await notesOf(context, wish) };
}

/**
 * Starts an evacuation or a return, or joins those that go on for some of the nodes already: asked twice, it is done once.
 * @throws RankshiftError E_REFUSED where no container can go: then nothing is started.
 */
export async function startGroup(
  context: ControllerContext,
  wish: GroupWish,
  requestedBy: Pick<Caller, 'uid' | 'name'>,
): Promise<{ groups: GroupAnswer[]; notes: string[] }> {
  const askedAt = Date.now();
  const joined = (await goingOn(context, wish)).filter(({ nodes }) => nodes.some((node) => wish.nodes.includes(node)));
  const nodes = wish.nodes.filter((node) => !joined.some((group) => group.nodes.includes(node)));
  const notes = await notesOf(context, wish);
  const groups = joined.map((group) => ({ group, joined: true }));
  if (nodes.length === 0) return { groups, notes };
  const members = await membersOf(context, { ...wish, nodes }, nodes);
  const going = members.filter(({ to }) => to !== null);
  if (members.length > 0 && going.length === 0 && wish.origin === 'command') {
    const message = `no container can ${wish.kind === 'return' ? 'come back' : 'leave'}: ${members.flatMap(({ reasons }) => reasons.map((reason) => reason.message)).join('; ')}`;
    throw new RankshiftError('E_REFUSED', message, {
      action: 'Remove the named causes, then ask again; nothing was changed.',
    });
  }
  return exclusively(context, async (held) => {
    const faster = (await goingOn(context, wish)).find((group) => group.nodes.some((node) => nodes.includes(node)));
    if (faster !== undefined) return { groups: [...groups, { group: faster, joined: true }], notes };
    const { uid, name } = requestedBy;
    await held.confirm();
    const group = await createGroup(context.redis, { ...wish, askedAt, nodes, requestedBy: { uid, name }, members });
    context.log.info({ group: group.id, nodes, reason: wish.reason, origin: wish.origin }, `${wish.kind} ${group.id}`);
    tellGroupNews(context, group.id, null);
    return { groups: [...groups, { group, joined: false }], notes };
  });
}

async function goingOn({ redis }: ControllerContext, { kind }: GroupWish): Promise<GroupRecord[]> {
  return (await listActiveGroups(redis)).filter((group) => group.kind === kind && !group.cancelRequested);
}

async function membersOf(
  context: ControllerContext,
  wish: GroupWish,
  nodes: readonly string[],
): Promise<GroupMember[]> {
  const leavers = wish.kind === 'return' ? await returners(context, nodes) : await leaversOf(context, wish);
  return leavers.length === 0 ? [] : planGroup(context, leavers, new Set(wish.kind === 'return' ? [] : nodes));
}

async function leaversOf({ redis }: ControllerContext, { nodes, targets }: GroupWish): Promise<Leaver[]> {
  const all = await listContainers(redis);
  const leaving = new Set(nodes);
  return all
    .filter(({ owner, state }) => leaving.has(owner) && state !== 'ended')
    .map((container) => ({ container, only: targets }));
}

/** What left the nodes and still runs elsewhere. */
export async function returners({ redis }: ControllerContext, nodes: readonly string[]): Promise<Leaver[]> {
  const all = await listContainers(redis);
  const byId = new Map(all.map((container) => [container.id, container]));
  const wanted = new Map<string, Leaver>();
  for (const node of nodes) {
    for (const { container: id } of await listLeft(redis, node, all)) {
      const container = byId.get(id);
      if (container !== undefined && !wanted.has(id)) wanted.set(id, { container, only: [node] });
    }
  }
  return [...wanted.values()];
}

async function notesOf(context: ControllerContext, { kind, nodes }: GroupWish): Promise<string[]> {
  if (kind === 'return') return [];
  const wanted = new Set(nodes);
  const open = (await gatherNodes(context))
    .filter(
      ({ name, slurmStates }) =>
        wanted.has(name) && !slurmStates.some((state) => /^(drain|down|fail|unknown)/.test(state)),
    )
    .map(({ name }) => name);
  if (open.length === 0) return [];
  const list = foldHostlist(open);
  return [
    `${list} is not drained in Slurm: new jobs may start there (scontrol update NodeName=${list} State=DRAIN Reason=...)`,
  ];
}

/** Calls a group off: what has moved stays where it is, moves under way go back, the rest does not begin. */
export async function cancelGroup(
  { redis }: ControllerContext,
  id: string,
): Promise<{ group: GroupRecord; before: boolean }> {
  let before = false;
  const group = await changeGroup(redis, id, (now) => {
    if (now.state !== 'active') {
      throw new RankshiftError('E_REFUSED', `${id} has ended: ${now.state}`, {
        action: `Nothing: see how it ended with rankshift show ${id}.`,
      });
    }
    before = now.cancelRequested;
    return before ? now : { ...now, cancelRequested: true };
  });
  return { group, before };
}

const lease = 'groups';
const leaseMs = 5000;
const pollMs = 20;

/** Two requests for one node at the same time must not make two groups. */
async function exclusively<T>({ redis }: ControllerContext, act: (held: HeldLease) => Promise<T>): Promise<T> {
  const deadline = Date.now() + 2 * leaseMs;
  for (;;) {
    const held = await HeldLease.take(redis, lease, leaseMs);
    if (held === null) {
      if (Date.now() > deadline) throw new RankshiftError('E_BUSY', 'other evacuations are being requested');
      await new Promise((resolve) => setTimeout(resolve, pollMs));
      continue;
    }
    try {
      return await act(held);
    } finally {
      await held.drop();
    }
  }
}
