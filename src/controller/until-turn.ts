import { RankshiftError } from '../errors.ts';
import { gangOf } from '../migration/gang.ts';
import { isPostponed } from '../migration/machine.ts';
import type { MigrationRecord, Plan } from '../migration/record.ts';
import { stageSeconds } from '../migration/turns.ts';
import { joinGang } from '../store/gangs.ts';
import { listMovesBefore, readMigration } from '../store/migrations.ts';
import { freeSlot, type WaitingMove } from '../store/turns.ts';
import type { ControllerContext } from './context.ts';
import { goAlone } from './let-go.ts';
import { turnTaker } from './turn-taker.ts';

/** How often a move looks whether those of its container that came before it have ended. */
const pauseMs = 100;
/** One that waits less does not say so in its record. */
const firstMs = 500;
/** How often a move that waits looks at its own record, should it not have been told that it was called off. */
const recordMs = 2000;

/** Of a record that was written, and then by its first driver. */
const firstDriven = 1;

type Wait = (reason: string | null) => Promise<void>;

/**
 * Moves of one container go one after another, in the order of the requests. Meanwhile its gang does not wait for it: two
 * groups of the same containers could wait for each other.
 * @param first what `moveBefore` said
 * @returns whether it waited.
 */
export async function untilAlone(
  context: ControllerContext,
  record: MigrationRecord,
  wait: Wait,
  first: Promise<MigrationRecord | undefined>,
): Promise<boolean> {
  const { id } = record;
  const gang = gangOf(record);
  let told = '';
  for (let other = await first; other !== undefined; other = await moveBefore(context, record)) {
    const { cancelRequested } = await readMigration(context.redis, id);
    if (cancelRequested || context.stopping.aborted) return true;
    const reason = `migration ${other.id} of the same container`;
    if (told === '') await goAlone(context, record);
    if (reason !== told) await wait(reason);
    told = reason;
    await pause();
  }
  if (gang !== null && told !== '') await joinGang(context.redis, gang, id);
  return told !== '';
}

/** A move of the same container that was asked for before this one, and has not ended. */
export async function moveBefore(
  context: ControllerContext,
  { id, container }: Pick<MigrationRecord, 'id' | 'container'>,
): Promise<MigrationRecord | undefined> {
  const moves = await listMovesBefore(context.redis, container, id);
  return moves.find((other) => !isPostponed(other, Date.now()));
}

/** Before its preflight: as many are made ready from a node as may copy. */
export async function untilMadeReady(
  context: ControllerContext,
  record: MigrationRecord,
  source: string,
  wait: Wait,
): Promise<void> {
  const { id, request, revision } = record;
  // Whoever drove it before may have had a place, for which others wait while it begins anew.
  if (revision > firstDriven) await freeSlot(context.redis, id);
  const seconds = { copySeconds: 0, restoreSeconds: 0 };
  const move = { id, stage: 'ahead', source, target: request.to ?? '', ...seconds, given: true } as const;
  await untilSlot(context, record, move, wait);
}

/** Before anything of it goes over the link, in the order of the schedule (src/migration/schedule.ts). */
export function untilCopying(
  context: ControllerContext,
  record: MigrationRecord,
  plan: Plan,
  target: string,
  wait: Wait,
): Promise<void> {
  const given = record.request.order === 'given';
  const move = { id: record.id, stage: 'copy', source: plan.source, target, ...stageSeconds(plan), given } as const;
  return untilSlot(context, record, move, wait);
}

/**
 * Ends without a place where the move was called off: its driver looks at that first.
 * @throws Error where the controller stops; RankshiftError E_STALE where another one drives the move by now.
 */
async function untilSlot(
  context: ControllerContext,
  { driver }: MigrationRecord,
  fields: Omit<WaitingMove, 'since'>,
  wait: Wait,
): Promise<void> {
  const move = { ...fields, since: Date.now() };
  const turns = turnTaker(context);
  let told = '';
  let again = false;
  for (let quietMs = firstMs; ; quietMs = recordMs) {
    const seen = await turns.news(move, { quietMs, told, again });
    if (seen.taken) return;
    const now = await readMigration(context.redis, move.id);
    if (now.driver !== driver)
      throw new RankshiftError('E_STALE', `migration ${move.id} is driven by another controller now`);
    if (now.cancelRequested) return;
    // The look was older than the entry, or is: to say it again changes nothing.
    again = !seen.forgotten;
    if (seen.reason !== told) await wait(seen.reason);
    told = seen.reason;
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, pauseMs));
