import type { Config } from '../config.ts';
import { gangOf } from '../migration/gang.ts';
import { isPostponed } from '../migration/machine.ts';
import type { MigrationRecord, Plan } from '../migration/record.ts';
import { type Limits, Slots } from '../migration/schedule.ts';
import { stageSeconds, whoseTurn } from '../migration/turns.ts';
import { joinGang } from '../store/gangs.ts';
import { listMovesOf, readMigration } from '../store/migrations.ts';
import { freeSlot, readTurns, takeSlot, type WaitingMove, waitForSlot } from '../store/turns.ts';
import type { ControllerContext } from './context.ts';
import { goAlone } from './let-go.ts';

/** How often it is looked whose turn it is; one look for all moves that this controller drives. */
const turnMs = 100;
/** How often a move that waits looks at its own record, should it not have been told that it was called off. */
const recordMs = 2000;

type Wait = (reason: string | null) => Promise<void>;

/**
 * Moves of one container go one after another, in the order of the requests. Meanwhile its gang does not wait for it: two
 * groups of the same containers could wait for each other.
 */
export async function untilAlone(context: ControllerContext, record: MigrationRecord, wait: Wait): Promise<void> {
  const { id, container } = record;
  const gang = gangOf(record);
  const before = async () => {
    const moves = await listMovesOf(context.redis, container);
    return moves.find((other) => Number(other.id) < Number(id) && !isPostponed(other, Date.now()));
  };
  let told = '';
  for (let other = await before(); other !== undefined; other = await before()) {
    const { cancelRequested } = await readMigration(context.redis, id);
    if (cancelRequested || context.stopping.aborted) return;
    const reason = `migration ${other.id} of the same container`;
    if (told === '') await goAlone(context, record);
    if (reason !== told) await wait(reason);
    told = reason;
    await pause();
  }
  if (gang !== null && told !== '') await joinGang(context.redis, gang, id);
}

/** Before its preflight: as many are made ready from a node as may copy. */
export async function untilMadeReady(
  context: ControllerContext,
  { id, request }: MigrationRecord,
  source: string,
  wait: Wait,
): Promise<void> {
  // Whoever drove it before may have had a place, for which others wait while it begins anew.
  await freeSlot(context.redis, id);
  const seconds = { copySeconds: 0, restoreSeconds: 0 };
  await untilSlot(context, { id, stage: 'ahead', source, target: request.to ?? '', ...seconds, given: true }, wait);
}

/** Before anything of it goes over the link, in the order of the schedule (src/migration/schedule.ts). */
export function untilCopying(
  context: ControllerContext,
  { id, request }: MigrationRecord,
  plan: Plan,
  target: string,
  wait: Wait,
): Promise<void> {
  const given = request.order === 'given';
  return untilSlot(context, { id, stage: 'copy', source: plan.source, target, ...stageSeconds(plan), given }, wait);
}

/** Ends without a place where the move was called off: its driver looks at that first. @throws Error where the controller stops. */
async function untilSlot(context: ControllerContext, fields: Omit<WaitingMove, 'since'>, wait: Wait): Promise<void> {
  const { redis, stopping } = context;
  const limits = limitsOf(context.config);
  const move = { ...fields, since: Date.now() };
  await waitForSlot(redis, move);
  let told = '';
  let looked = Date.now();
  while (!stopping.aborted) {
    const { waiting, held, next } = await look(context);
    if (next.has(move.id) && (await takeSlot(redis, move, limits))) return;
    const forgotten = !waiting.some(({ id }) => id === move.id);
    if (forgotten || Date.now() - looked > recordMs) {
      if ((await readMigration(redis, move.id)).cancelRequested) return;
      looked = Date.now();
      // The look was older than the entry, or is: to say it again changes nothing.
      if (forgotten) await waitForSlot(redis, move);
    }
    const reason = whyNot(move, held, limits);
    if (reason !== told) await wait(reason);
    told = reason;
    await pause();
  }
  throw new Error('the controller stops');
}

function whyNot(move: WaitingMove, held: Turns['held'], limits: Limits): string {
  const moving = held.flatMap(({ stage, ...one }) => (stage === 'ahead' ? [] : [{ ...one, stage }]));
  const full = move.stage === 'copy' ? new Slots(limits, moving).full(move) : null;
  return `its turn${full === null ? '' : `: ${full}`}`;
}

export function limitsOf({ maxMoves, maxMovesOut, maxMovesIn, maxMovesPerLink }: Config): Limits {
  return { cluster: maxMoves, out: maxMovesOut, in: maxMovesIn, link: maxMovesPerLink };
}

type Turns = Awaited<ReturnType<typeof readTurns>> & { next: ReadonlySet<string> };

const looks = new WeakMap<ControllerContext, { until: number; turns: Promise<Turns> }>();

/** What all moves of this process share: with thousands waiting, each for itself would read them all. */
function look(context: ControllerContext): Promise<Turns> {
  const last = looks.get(context);
  const at = performance.now();
  if (last !== undefined && at < last.until) return last.turns;
  const turns = readTurns(context.redis).then(({ waiting, held }) => {
    const next = new Set(whoseTurn(waiting, held, limitsOf(context.config), Date.now()));
    return { waiting, held, next };
  });
  const made = { until: Number.POSITIVE_INFINITY, turns };
  looks.set(context, made);
  // A fifth of the time at most is for looks.
  const done = () => {
    const ended = performance.now();
    made.until = ended + Math.max(turnMs / 2, 4 * (ended - at));
  };
  turns.then(done, done);
  return turns;
}

const pause = () => new Promise((resolve) => setTimeout(resolve, turnMs));
