import { RankshiftError } from '../errors.ts';
import type { ContainerRecord } from '../migration/container.ts';
import type { GroupMember, GroupRecord } from '../migration/group.ts';
import { afterLook, isSettled, stepGroup, summaryOf } from '../migration/group-step.ts';
import { listContainers, readContainers } from '../store/containers.ts';
import { changeGroup, forgetEnded, listActiveGroups, readGroups } from '../store/groups.ts';
import { HeldLease } from '../store/leases.ts';
import { forgetLeft, noteLeft } from '../store/left.ts';
import { listActiveMigrations, readMigrations } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';
import { returners } from './evacuate.ts';
import { onGroupNews } from './group-news.ts';
import { planGroup } from './plan-group.ts';
import { termsOfMove } from './policy.ts';
import { repeatLooks } from './repeat-looks.ts';
import { cancelMigration, queueMigration } from './requests.ts';

const lookMs = 300;
const leaseMs = 3000;

/** Moves of a group that were under way at its last look. */
const underWay = new Map<string, Set<string>>();

/** Drives all groups that go on: one controller each, and whoever takes over comes to the same from the records. */
export function driveGroups(context: ControllerContext): void {
  const lookAtAll = () =>
    look(context).catch((error: Error) => {
      context.log.warn({ error: error.message }, 'driving groups');
      return 0;
    });
  // Of a large group a look takes its time: a tenth of it at most is for looks.
  const looks = repeatLooks(lookAtAll, { leastMs: lookMs, pauseFactor: 9 }, context.stopping);
  onGroupNews(context, (group, migration) => {
    const moves = underWay.get(group);
    if (migration !== null) moves?.delete(migration);
    // Of the others the next look will tell as well; after the last one nobody should have to wait for it.
    if (migration === null || moves?.size === 0) looks.soon();
  });
}

/** @returns how long the longest look took, ms, without what was begun in it */
async function look(context: ControllerContext): Promise<number> {
  const groups = await listActiveGroups(context.redis);
  const took = await Promise.all(groups.map((group) => lookAt(context, group)));
  return Math.max(0, ...took);
}

async function lookAt(context: ControllerContext, { id }: GroupRecord): Promise<number> {
  const lease = await HeldLease.take(context.redis, `group-${id}`, leaseMs);
  if (lease === null) return 0;
  try {
    // As it is now that nobody else drives it.
    const [group] = await readGroups(context.redis, [id]);
    if (group?.state === 'active') return await advance(context, lease, group);
    // Another controller ended it.
    forget(id);
    if (group !== undefined) await forgetEnded(context.redis, id);
  } catch (error) {
    context.log.warn({ group: id, error: (error as Error).message }, 'a group was not driven; it is tried again');
  } finally {
    await lease.drop();
  }
  return 0;
}

function forget(group: string): void {
  allLooks.next.delete(group);
  underWay.delete(group);
}

/** When all containers are looked at, by group: what that costs is a twentieth of the time at most. */
const allLooks = {
  next: new Map<string, number>(),
  due(group: string): boolean {
    return performance.now() >= (this.next.get(group) ?? 0);
  },
  done(group: string, tookMs: number): void {
    this.next.set(group, performance.now() + (tookMs < briefMs ? 0 : 19 * tookMs));
  },
};
const briefMs = 50;

/**
 * What a look goes by: of members that are settled nothing.
 * @param all with the containers that are no members, or not yet
 */
async function factsOf({ redis }: ControllerContext, group: GroupRecord, all: boolean) {
  const open = group.members.filter((member) => !isSettled(member));
  const active = await listActiveMigrations(redis);
  const read = new Set(active.map(({ id }) => id));
  const ended = open.flatMap(({ migration }) => (migration === null || read.has(migration) ? [] : [migration]));
  const known = await readMigrations(redis, ended);
  // After the migrations: a container whose move has ended is where that brought it.
  const started = performance.now();
  const ids = open.map(({ container }) => container);
  const containers = all ? await listContainers(redis) : await readContainers(redis, ids);
  if (all) allLooks.done(group.id, performance.now() - started);
  return {
    all,
    containers: new Map(containers.map((container) => [container.id, container])),
    migrations: new Map([...active, ...known].map((migration) => [migration.id, migration])),
    now: Date.now(),
  };
}

/** One look: what the records say is written into the group, moves are begun or called off. @returns what it took, ms */
async function advance(context: ControllerContext, lease: HeldLease, before: GroupRecord): Promise<number> {
  const { redis, log } = context;
  const started = performance.now();
  let facts = await factsOf(context, before, allLooks.due(before.id));
  let step = stepGroup(before, facts);
  // It may be over but for what has started on its nodes meanwhile.
  if (step.state !== 'active' && !facts.all) {
    facts = await factsOf(context, before, true);
    step = stepGroup(before, facts);
  }
  for (const id of step.cancel) {
    await lease.confirm();
    await cancelMigration(context, { uid: 0, name: 'root', admin: true }, id).catch((error: unknown) => {
      // Too late, which its record says next time.
      if (RankshiftError.from(error).code !== 'E_REFUSED') throw error;
    });
  }
  const lookedMs = performance.now() - started;
  const begun = await begin(context, lease, before, step.members, step.start, facts.containers);
  underWay.set(
    before.id,
    new Set(begun.flatMap(({ state, migration }) => (state === 'moving' ? (migration ?? []) : []))),
  );
  const moved = new Set(before.members.flatMap(({ container, state }) => (state === 'moved' ? container : [])));
  const news = begun.filter(({ container }) => !moved.has(container));
  await Promise.all(
    news.map((member) => noteMove(context, before, member, facts.containers.get(member.container)?.startedAt)),
  );
  const ended = step.state !== 'active' && begun.every((member, index) => member.state === step.members[index]?.state);
  const changed = ended || JSON.stringify(begun) !== JSON.stringify(before.members);
  if (!changed) return lookedMs;
  const now = await changeGroup(redis, before.id, (group) => {
    const written = afterLook(before, group, begun, ended ? step.state : 'active', Date.now());
    if (written === null)
      throw new RankshiftError('E_STALE', `${before.id} was driven by another controller meanwhile`);
    return written;
  });
  if (now.state === 'active') return lookedMs;
  forget(now.id);
  log.info({ group: now.id, state: now.state }, `${now.kind} ${now.id}: ${summaryOf(begun)}`);
  return lookedMs;
}

/** Starts the moves of those that want one; what has no target any more is looked at again. */
async function begin(
  context: ControllerContext,
  lease: HeldLease,
  group: GroupRecord,
  members: readonly GroupMember[],
  start: readonly string[],
  containers: ReadonlyMap<string, ContainerRecord>,
): Promise<GroupMember[]> {
  if (start.length === 0) return [...members];
  const wanting = new Set(start);
  const placed = new Map(
    (await placeAnew(context, group, members, wanting)).map((member) => [member.container, member]),
  );
  return Promise.all(
    members.map(async (member) => {
      const next = placed.get(member.container) ?? member;
      const container = containers.get(member.container);
      if (!wanting.has(member.container) || container === undefined || next.to === null || next.state === 'stays')
        return next;
      // Slurm was silent just now.
      if (next.notBefore > Date.now()) return next;
      const request = { container: member.container, to: next.to, group: group.id };
      const terms = await termsOfMove(context, container.job, request);
      await lease.confirm();
      const { id } = await queueMigration(context, group.requestedBy, container, request, terms);
      return { ...next, state: 'moving' as const, migration: id, tries: member.tries + 1, reasons: [] };
    }),
  );
}

/** Members without a target, or whose target refused: with the targets that they have now. */
async function placeAnew(
  context: ControllerContext,
  group: GroupRecord,
  members: readonly GroupMember[],
  start: ReadonlySet<string>,
): Promise<GroupMember[]> {
  const wanted = members.filter(({ container, to, tries }) => start.has(container) && (to === null || tries > 0));
  if (wanted.length === 0) return [];
  const containers = new Map((await listContainers(context.redis)).map((container) => [container.id, container]));
  const byId = new Map(wanted.map((member) => [member.container, member]));
  const leaving = group.kind === 'return' ? await returners(context, group.nodes) : [];
  const back = new Map(leaving.map(({ container, only }) => [container.id, only]));
  const leavers = wanted.flatMap(({ container: id, to }) => {
    const container = containers.get(id);
    if (container === undefined) return [];
    if (group.kind === 'evacuation') return { container, only: group.targets };
    return { container, only: to === null ? (back.get(id) ?? group.nodes) : [to] };
  });
  const placed = await planGroup(context, leavers, new Set(group.kind === 'return' ? [] : group.nodes));
  return placed.flatMap((placement) => {
    const member = byId.get(placement.container);
    if (member === undefined) return [];
    const { state, notBefore, reasons } = placement;
    return {
      ...member,
      to: placement.to ?? member.to,
      state,
      notBefore,
      reasons: reasons.length > 0 ? reasons : member.reasons,
    };
  });
}

/** Of a member that has moved since the last look: what an evacuation took away a return brings back. */
async function noteMove(
  { redis }: ControllerContext,
  group: GroupRecord,
  member: GroupMember,
  startedAt: number | undefined,
): Promise<void> {
  if (member.state !== 'moved' || startedAt === undefined) return;
  if (group.kind === 'evacuation') {
    await noteLeft(redis, member.from, { container: member.container, group: group.id, at: Date.now(), startedAt });
  } else if (group.kind === 'return' && member.to !== null) {
    await forgetLeft(redis, member.to, member.container);
  }
}
