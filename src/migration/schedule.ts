/**
 * Several moves as one plan: a flow shop of two stages. First memory goes over a link (or the dump, where there are no
 * rounds), then the target restores; both after a time in which nothing scarce is used (preflight, preparation).
 * Seconds throughout.
 */
export interface ScheduledMove {
  id: string;
  source: string;
  target: string;
  /** Before the first stage: it needs no slot. */
  aheadSeconds: number;
  copySeconds: number;
  restoreSeconds: number;
}

/** At most so many at a time. A move takes a place out and on the link while it copies, in and of the cluster to its end. */
export interface Limits {
  out: number;
  in: number;
  link: number;
  cluster: number;
}

/** A move that has its slots. */
export interface Holding {
  source: string;
  target: string;
  /** In its second stage it has left its source's link. */
  stage: 'copy' | 'restore';
}

/**
 * Johnson's rule (S. M. Johnson, Optimal two- and three-stage production schedules, 1954): those that copy shorter than
 * they restore come first, the shortest copy in front; then the others, the longest restore in front. Shortest makespan
 * of all orders where each stage takes one at a time; with more slots the usual order for list scheduling. Equal ones
 * keep the order in which they were given.
 */
export function johnsonOrder<M extends Pick<ScheduledMove, 'copySeconds' | 'restoreSeconds'>>(
  moves: readonly M[],
): M[] {
  const first = moves.filter(({ copySeconds, restoreSeconds }) => copySeconds < restoreSeconds);
  const last = moves.filter(({ copySeconds, restoreSeconds }) => copySeconds >= restoreSeconds);
  return [
    ...first.toSorted((a, b) => a.copySeconds - b.copySeconds),
    ...last.toSorted((a, b) => b.restoreSeconds - a.restoreSeconds),
  ];
}

const linkOf = ({ source, target }: { source: string; target: string }) => `${source} ${target}`;

/** What is in use, counted once for many questions. */
export class Slots {
  readonly #limits: Limits;
  readonly #used = new Map<string, number>();

  constructor(limits: Limits, holding: readonly Holding[] = []) {
    this.#limits = limits;
    for (const one of holding) this.take(one);
  }

  /** Why there is no room for a move, for people; null where there is. */
  full(move: { source: string; target: string }): string | null {
    const { source, target } = move;
    const { out, in: into, link, cluster } = this.#limits;
    const over = (key: string, most: number, where: string) =>
      this.#count(key) >= most ? `${this.#count(key)} of ${most} moves ${where} are under way` : null;
    return (
      over('cluster', cluster, 'of the cluster') ??
      over(`out ${source}`, out, `from ${source}`) ??
      over(`in ${target}`, into, `to ${target}`) ??
      over(`link ${linkOf(move)}`, link, `from ${source} to ${target}`)
    );
  }

  take(holding: Holding): void {
    this.#add(holding, 1);
  }

  /** The second stage begins: the source and its link are free for the next. */
  pass(holding: { source: string; target: string }): void {
    this.#add({ ...holding, stage: 'copy' }, -1);
    this.#add({ ...holding, stage: 'restore' }, 1);
  }

  free(holding: Holding): void {
    this.#add(holding, -1);
  }

  #add({ source, target, stage }: Holding, by: number): void {
    const keys = ['cluster', `in ${target}`];
    if (stage === 'copy') keys.push(`out ${source}`, `link ${linkOf({ source, target })}`);
    for (const key of keys) this.#used.set(key, this.#count(key) + by);
  }

  #count(key: string): number {
    return this.#used.get(key) ?? 0;
  }
}

/**
 * Which of those that wait may begin now, in the order in which they are given: one for whom there is no room lets others
 * pass. But for `keepsPlace`: what those wait for is kept for them.
 */
export function nextTurns<M extends { source: string; target: string }>(
  inOrder: readonly M[],
  holding: readonly Holding[],
  limits: Limits,
  keepsPlace: (move: M) => boolean = () => false,
): M[] {
  const slots = new Slots(limits, holding);
  return inOrder.filter((move) => {
    const room = slots.full(move) === null;
    if (room || keepsPlace(move)) slots.take({ ...move, stage: 'copy' });
    return room;
  });
}

/** When one move copies and restores, seconds from the beginning of all. */
export interface Slot {
  id: string;
  copyFrom: number;
  restoreFrom: number;
  end: number;
}

/** List scheduling: whenever something is free, the first in the order that it has room for begins. */
export function schedule(inOrder: readonly ScheduledMove[], limits: Limits): { moves: Slot[]; makespan: number } {
  const slots = new Slots(limits);
  const waiting = [...inOrder];
  const done: Slot[] = [];
  const events: { at: number; act: () => void }[] = waiting.map(({ aheadSeconds }) => ({
    at: aheadSeconds,
    act: () => undefined,
  }));
  const begin = (move: ScheduledMove, now: number) => {
    const [restoreFrom, end] = [now + move.copySeconds, now + move.copySeconds + move.restoreSeconds];
    slots.take({ ...move, stage: 'copy' });
    events.push({ at: restoreFrom, act: () => slots.pass(move) });
    events.push({ at: end, act: () => slots.free({ ...move, stage: 'restore' }) });
    done.push({ id: move.id, copyFrom: now, restoreFrom, end });
  };
  while (events.length > 0) {
    const now = Math.min(...events.map(({ at }) => at));
    // All that ends now has ended before anything begins.
    for (const event of events.filter(({ at }) => at === now)) {
      events.splice(events.indexOf(event), 1);
      event.act();
    }
    for (const move of [...waiting]) {
      if (move.aheadSeconds > now || slots.full(move) !== null) continue;
      waiting.splice(waiting.indexOf(move), 1);
      begin(move, now);
    }
  }
  return { moves: done, makespan: Math.max(0, ...done.map(({ end }) => end)) };
}

/**
 * No schedule is shorter: what any one resource has to do, divided among its places, after the soonest that may begin
 * and before the shortest that comes behind it. `wire`: a link carries no more with several moves at once, so their
 * copies take at least as long as one after another (`copySeconds` is then the time with the link to itself).
 */
export function lowerBound(
  moves: readonly ScheduledMove[],
  limits: Limits,
  { wire = false }: { wire?: boolean } = {},
): number {
  const all = (list: readonly ScheduledMove[], of: (move: ScheduledMove) => number) =>
    list.reduce((sum, move) => sum + of(move), 0);
  const least = (list: readonly ScheduledMove[], of: (move: ScheduledMove) => number) => Math.min(...list.map(of));
  const ahead = ({ aheadSeconds }: ScheduledMove) => aheadSeconds;
  const copy = ({ copySeconds }: ScheduledMove) => copySeconds;
  const restore = ({ restoreSeconds }: ScheduledMove) => restoreSeconds;
  const whole = (move: ScheduledMove) => copy(move) + restore(move);
  const copies = (list: ScheduledMove[], places: number) =>
    least(list, ahead) + all(list, copy) / (wire ? 1 : places) + least(list, restore);
  const wholes = (list: readonly ScheduledMove[], places: number) => least(list, ahead) + all(list, whole) / places;
  const grouped = (key: (move: ScheduledMove) => string) => [...Map.groupBy(moves, key).values()];
  return Math.max(
    0,
    ...moves.map((move) => ahead(move) + whole(move)),
    ...(moves.length === 0 ? [] : [wholes(moves, limits.cluster)]),
    ...grouped(({ source }) => source).map((list) => copies(list, limits.out)),
    ...grouped(linkOf).map((list) => copies(list, limits.link)),
    ...grouped(({ target }) => target).map((list) => wholes(list, limits.in)),
  );
}
