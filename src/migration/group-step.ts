import type { ContainerRecord } from './container.ts';
import type { GroupMember, GroupRecord, GroupState } from './group.ts';
import { silentMs } from './group-member.ts';
import { isCancellable, isFinal } from './machine.ts';
import type { MigrationRecord } from './record.ts';

/** What the records say when a group is looked at. */
export interface GroupFacts {
  containers: ReadonlyMap<string, ContainerRecord>;
  /** Migrations of the members, by id; one that was forgotten is missing. */
  migrations: ReadonlyMap<string, MigrationRecord>;
  now: number;
}

export interface GroupStep {
  members: GroupMember[];
  /** Members that want a migration now. */
  start: string[];
  /** Migrations that are to be called off. */
  cancel: string[];
  state: GroupState;
}

/** A container whose move failed for a reason that may pass is tried so often, each time after a longer pause. */
const mostTries = 3;
const pauseMs = 2000;

const settled = ['moved', 'stays', 'ended', 'cancelled', 'lost'];

/** Of such a member nothing changes any more, and nothing has to be read. */
export const isSettled = ({ state }: Pick<GroupMember, 'state'>) => settled.includes(state);

/**
 * One look at a group: how each member stands, which want a move, what is to be called off, and whether it is over. Pure
 * and without memory of its own: whoever drives the group next comes to the same. Containers that start on a node while
 * it is being emptied join; one that somebody else moves away has left as well.
 */
export function stepGroup(group: GroupRecord, facts: GroupFacts): GroupStep {
  const start: string[] = [];
  const cancel: string[] = [];
  const begun = new Map(
    [...facts.migrations.values()]
      .filter(({ request, state }) => request.group === group.id && !isFinal(state))
      .map(({ container, id }) => [container, id]),
  );
  const nodes = new Set(group.nodes);
  const members = [...group.members, ...newcomers(group, nodes, facts)].map((member) => {
    if (isSettled(member)) return member;
    // Its record was written, and whoever did so died before it could say so here.
    const adopted = member.migration ?? begun.get(member.container) ?? null;
    const next = stepMember(group, nodes, { ...member, migration: adopted }, facts, cancel);
    if (next.state === 'waiting' && next.migration === null && facts.now >= next.notBefore && ready(next, facts)) {
      start.push(next.container);
    }
    return next;
  });
  return { members, start, cancel, state: stateOf(group, members) };
}

function newcomers(group: GroupRecord, nodes: ReadonlySet<string>, { containers }: GroupFacts): GroupMember[] {
  if (group.kind !== 'evacuation' || group.cancelRequested) return [];
  const known = new Set(group.members.map(({ container }) => container));
  return [...containers.values()]
    .filter(({ id, owner, state }) => nodes.has(owner) && state !== 'ended' && !known.has(id))
    .map(({ id, job, owner }) => ({
      ...{ container: id, job, from: owner, to: null, migration: null, tries: 0 },
      ...{ state: 'waiting', notBefore: 0, reasons: [] },
    }));
}

function ready({ container }: GroupMember, { containers }: GroupFacts): boolean {
  const record = containers.get(container);
  return record?.state === 'running' && record.migration === '';
}

function stepMember(
  group: GroupRecord,
  nodes: ReadonlySet<string>,
  member: GroupMember,
  facts: GroupFacts,
  cancel: string[],
): GroupMember {
  const container = facts.containers.get(member.container);
  const migration = member.migration === null ? undefined : facts.migrations.get(member.migration);
  if (migration !== undefined && !isFinal(migration.state)) {
    if (group.cancelRequested && !migration.cancelRequested && isCancellable(migration.state))
      cancel.push(migration.id);
    return { ...member, state: 'moving', to: migration.target ?? member.to };
  }
  if (group.kind === 'set' && migration?.state === 'completed')
    return { ...member, state: 'moved', to: migration.target, reasons: [] };
  if (container === undefined || container.state === 'ended') {
    return migration?.state === 'lost' ? { ...member, state: 'lost' } : { ...member, state: 'ended' };
  }
  if (group.kind === 'set' && migration === undefined) return { ...member, state: 'stays', reasons: [forgotten] };
  if (arrived(group, nodes, member, container)) return { ...member, state: 'moved', to: container.owner, reasons: [] };
  if (migration !== undefined) return afterMigration(group, member, migration, facts.now);
  if (group.cancelRequested) return { ...member, state: 'cancelled' };
  return { ...member, state: 'waiting', migration: null };
}

function arrived(
  group: GroupRecord,
  nodes: ReadonlySet<string>,
  member: GroupMember,
  { owner }: ContainerRecord,
): boolean {
  if (group.kind === 'evacuation') return !nodes.has(owner);
  // A return without a target yet: its node was not looked at, since Slurm was silent.
  return owner === member.to || (group.kind === 'return' && member.to === null && nodes.has(owner));
}

/** A set is the migrations that it was made of, with what each was asked for: nothing is begun anew for it. */
const forgotten = { code: 'forgotten', message: 'its migration is not kept any more' };

/** A migration that ended and left the container where it was. */
function afterMigration(group: GroupRecord, member: GroupMember, migration: MigrationRecord, now: number): GroupMember {
  const message = migration.error?.message ?? migration.state;
  const reasons =
    migration.state === 'refused' && (migration.plan?.reasons.length ?? 0) > 0
      ? (migration.plan?.reasons ?? [])
      : [{ code: migration.error?.code ?? migration.state, message }];
  if (migration.state === 'lost') return { ...member, state: 'lost', reasons };
  if (migration.state === 'cancelled' || migration.cancelRequested) {
    if (group.cancelRequested) return { ...member, state: 'cancelled' };
    return {
      ...member,
      state: 'stays',
      reasons: [{ code: 'cancelled', message: `migration ${migration.id} was called off` }],
    };
  }
  if (migration.state === 'needs-operator') {
    const action = `rankshift resolve ${migration.id}`;
    return { ...member, state: 'stays', reasons: [{ code: 'needs-operator', message: `${message} (${action})` }] };
  }
  if (group.cancelRequested) return { ...member, state: 'cancelled' };
  // A slurmctld that is away comes back: the group waits for it, and is called off by a person only.
  if (group.kind !== 'set' && waitsForSlurm(migration))
    return {
      ...member,
      state: 'waiting',
      migration: null,
      tries: Math.max(1, member.tries - 1),
      notBefore: now + silentMs,
      reasons,
    };
  if (group.kind === 'set' || member.tries >= mostTries || !mayPass(migration))
    return { ...member, state: 'stays', reasons };
  const notBefore = now + pauseMs * 2 ** (member.tries - 1);
  return { ...member, state: 'waiting', migration: null, notBefore, reasons };
}

/** Slurm gave no answer, or none by which a target could be chosen. */
function waitsForSlurm({ state, error, plan }: MigrationRecord): boolean {
  return (
    error?.code === 'E_SLURM' ||
    (state === 'refused' && plan?.reasons.some(({ code }) => code === 'slurm-silent') === true)
  );
}

const passing = ['E_LINK', 'E_AGENT', 'E_TIMEOUT', 'E_TARGET_FULL', 'E_BUSY', 'E_SLURM', 'E_REDIS', 'E_STALE'];

/** Whether another try, perhaps with another target, may succeed. */
function mayPass({ state, error, plan }: MigrationRecord): boolean {
  if (error?.retryable === true || passing.includes(error?.code ?? '')) return true;
  const reasons = plan?.reasons ?? [];
  return (
    state === 'refused' &&
    reasons.length > 0 &&
    reasons.every(({ code }) => /^(target-|source-agent|link$|no-target|slurm-silent)/.test(code))
  );
}

function stateOf(group: GroupRecord, members: readonly GroupMember[]): GroupState {
  if (!members.every(isSettled)) return 'active';
  if (members.some(({ state }) => state === 'lost' || state === 'stays')) {
    return group.cancelRequested ? 'cancelled' : 'incomplete';
  }
  return members.some(({ state }) => state === 'cancelled') || (group.cancelRequested && members.length === 0)
    ? 'cancelled'
    : 'completed';
}

/**
 * What a look writes into its group: its members, and its end, unless somebody has called it off since. Null where another
 * has looked meanwhile: then that look counts, and this one is thrown away.
 * @param before the group as it was looked at
 * @param now as it is when it is written
 */
export function afterLook(
  before: GroupRecord,
  now: GroupRecord,
  members: GroupMember[],
  state: GroupState,
  at: number,
): GroupRecord | null {
  if (now.state !== 'active' || JSON.stringify(now.members) !== JSON.stringify(before.members)) return null;
  const ends = state !== 'active' && now.cancelRequested === before.cancelRequested;
  return { ...now, members, ...(ends ? { state, endedAt: at } : {}) };
}

/** Counts of a group's members, for people: `3 of 4 moved, 1 stays`. */
export function summaryOf(members: readonly GroupMember[]): string {
  const count = (state: GroupMember['state']) => members.filter((member) => member.state === state).length;
  const rest = (['moving', 'waiting', 'stays', 'ended', 'cancelled', 'lost'] as const)
    .map((state) => [count(state), state] as const)
    .filter(([number]) => number > 0)
    .map(([number, state]) => `, ${number} ${state === 'stays' && number > 1 ? 'stay' : state}`);
  return `${count('moved')} of ${members.length} moved${rest.join('')}`;
}
