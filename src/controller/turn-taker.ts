import type { Config } from '../config.ts';
import { type Limits, Slots } from '../migration/schedule.ts';
import { whoseTurn } from '../migration/turns.ts';
import { type HeldSlot, readTurns, takeSlots, type WaitingMove, waitForSlots } from '../store/turns.ts';
import type { ControllerContext } from './context.ts';

/** How often it is looked whose turn it is, where nothing has changed here. */
const lookMs = 100;
/** The same where a move came or gave its place back. */
const soonMs = 2;
/** However long looks take. */
const seldomMs = 1000;
/** Most places that are taken by one script. */
const takenAtOnce = 1000;
const stops = 'the controller stops';
const given: Seen = { taken: true, forgotten: false, reason: '' };
const endless = Number.POSITIVE_INFINITY;
const unlimited: Limits = { out: endless, in: endless, link: endless, cluster: endless };

/** What a look says of a move that waits. */
export interface Seen {
  taken: boolean;
  /** Nobody knows any more that it waits: it was called off, or the look was older. */
  forgotten: boolean;
  /** Why it has no place, for people. */
  reason: string;
}

interface Waiter {
  move: WaitingMove;
  /** It is told nothing new before: with thousands waiting, each look would wake them all. */
  quietUntil: number;
  told: string;
  tell: (seen: Seen) => void;
  fail: (error: Error) => void;
}

export function limitsOf({ maxMoves, maxMovesOut, maxMovesIn, maxMovesPerLink }: Config): Limits {
  return { cluster: maxMoves, out: maxMovesOut, in: maxMovesIn, link: maxMovesPerLink };
}

const takers = new WeakMap<ControllerContext, TurnTaker>();

/** The one of this process: what a look costs, all moves that wait share. */
export function turnTaker(context: ControllerContext): TurnTaker {
  const known = takers.get(context) ?? new TurnTaker(context);
  takers.set(context, known);
  return known;
}

/** Takes places for all moves that wait in this process, as the schedule has them (src/migration/turns.ts). */
export class TurnTaker {
  readonly #context: ControllerContext;
  readonly #waiters = new Map<string, Waiter>();
  #unsaid: WaitingMove[] = [];
  #looking = false;
  #hurry = () => {};
  #changed = false;

  constructor(context: ControllerContext) {
    this.#context = context;
    context.stopping.addEventListener('abort', () => {
      for (const { fail } of this.#waiters.values()) fail(new Error(stops));
      this.changed();
    });
  }

  /** Something changed: a look soon may give places. */
  changed(): void {
    this.#changed = true;
    this.#hurry();
  }

  /**
   * The next news of a move that waits: its place, or after `quietMs` why it has none where that is other than `told`,
   * or after a while in any case.
   * @param again it is still known to wait.
   * @throws Error where the controller stops.
   */
  news(move: WaitingMove, { quietMs, told, again }: { quietMs: number; told: string; again: boolean }): Promise<Seen> {
    return new Promise((resolve, reject) => {
      if (this.#context.stopping.aborted) return reject(new Error(stops));
      const tell = (seen: Seen) => {
        this.#waiters.delete(move.id);
        resolve(seen);
      };
      this.#waiters.set(move.id, { move, told, tell, fail: reject, quietUntil: performance.now() + quietMs });
      if (!again) {
        this.#unsaid.push(move);
        this.changed();
      }
      if (!this.#looking) void this.#look();
    });
  }

  async #look(): Promise<void> {
    this.#looking = true;
    const { log, stopping } = this.#context;
    // All that come in one turn of the event loop share the first look.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiters.size > 0 && !stopping.aborted) {
      const at = performance.now();
      this.#changed = false;
      let looked = true;
      try {
        looked = !(await this.#atOnce()) && (await this.#once());
      } catch (error) {
        log.warn({ error: (error as Error).message }, 'looking whose turn it is');
      }
      if (this.#waiters.size === 0) break;
      // A fifth of the time at most is for looks.
      await this.#pause(looked ? Math.min(seldomMs, 4 * (performance.now() - at)) : 0);
    }
    this.#looking = false;
  }

  async #pause(leastMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, Math.max(soonMs, leastMs)));
    if (this.#changed || leastMs >= lookMs) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#hurry = resolve;
      timer = setTimeout(resolve, lookMs - leastMs);
    });
    clearTimeout(timer);
    this.#hurry = () => {};
  }

  /**
   * Where nobody waits but those that came just now, they need not say so. True where all have their places; whoever came
   * meanwhile is asked for next in the same way.
   */
  async #atOnce(): Promise<boolean> {
    const moves = this.#unsaid;
    if (moves.length === 0 || moves.length < this.#waiters.size) return false;
    const { redis, config } = this.#context;
    const byId = new Map(moves.map((move) => [move.id, move]));
    const order = whoseTurn(moves, [], unlimited, Date.now()).flatMap((id) => byId.get(id) ?? []);
    const asked = order.slice(0, takenAtOnce);
    const taken = await takeSlots(redis, asked, limitsOf(config), true);
    this.#unsaid = this.#unsaid.filter(({ id }) => !taken.has(id));
    for (const id of taken) this.#waiters.get(id)?.tell(given);
    if (this.#unsaid.length > 0) this.#changed = true;
    return taken.size === asked.length;
  }

  async #once(): Promise<true> {
    const { redis, config } = this.#context;
    const limits = limitsOf(config);
    const unsaid = this.#unsaid;
    this.#unsaid = [];
    try {
      await waitForSlots(redis, unsaid);
    } catch (error) {
      this.#unsaid.push(...unsaid);
      throw error;
    }
    const { waiting, held } = await readTurns(redis);
    const next = whoseTurn(waiting, held, limits, Date.now()).flatMap((id) => this.#waiters.get(id)?.move ?? []);
    const taken = await takeSlots(redis, next.slice(0, takenAtOnce), limits);
    if (taken.size === takenAtOnce) this.#changed = true;
    this.#tell(waiting, held, taken, limits);
    return true;
  }

  #tell(waiting: readonly WaitingMove[], held: readonly HeldSlot[], taken: ReadonlySet<string>, limits: Limits): void {
    const known = new Set(waiting.map(({ id }) => id));
    const unsaid = new Set(this.#unsaid.map(({ id }) => id));
    const moving = held.flatMap(({ stage, ...one }) => (stage === 'ahead' ? [] : [{ ...one, stage }]));
    const slots = new Slots(limits, moving);
    const now = performance.now();
    for (const { move, quietUntil, told, tell } of [...this.#waiters.values()]) {
      if (taken.has(move.id)) {
        tell(given);
        continue;
      }
      // It came during the look.
      if (unsaid.has(move.id)) continue;
      const forgotten = !known.has(move.id);
      if (!forgotten && now < quietUntil) continue;
      const full = move.stage === 'copy' ? slots.full(move) : null;
      const reason = `its turn${full === null ? '' : `: ${full}`}`;
      if (forgotten || reason !== told || now > quietUntil + lookMs) tell({ taken: false, forgotten, reason });
    }
  }
}
