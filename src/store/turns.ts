import type { Redis } from 'ioredis';
import { z } from 'zod';
import { nodeNameSchema } from '../migration/record.ts';
import type { Limits } from '../migration/schedule.ts';
import { activeKey, keyPrefix, script } from './connection.ts';

const slots = `${keyPrefix}:slots`;
const turns = `${keyPrefix}:turns`;
const nowhere = '-';

/** What a place is for: to be made ready while others copy, or to copy; after that a move only restores. */
export type TurnStage = 'ahead' | 'copy';

/** A move that waits for its place. */
export const waitingMoveSchema = z.object({
  id: z.string(),
  stage: z.enum(['ahead', 'copy']),
  source: nodeNameSchema,
  target: nodeNameSchema.or(z.literal('')),
  copySeconds: z.number(),
  restoreSeconds: z.number(),
  /** Its place in the order of the requests is asked for. */
  given: z.boolean(),
  /** Unix time in milliseconds. */
  since: z.number(),
});
export type WaitingMove = z.infer<typeof waitingMoveSchema>;

export interface HeldSlot {
  id: string;
  stage: TurnStage | 'restore';
  source: string;
  target: string;
}

/** As they were read last: with thousands waiting, most say the same as a moment ago. */
const parsed = new WeakMap<Redis, Map<string, { text: string; move: WaitingMove | undefined }>>();

/** Who waits, and who holds a place; what belongs to migrations that have ended is left out. */
export async function readTurns(redis: Redis): Promise<{ waiting: WaitingMove[]; held: HeldSlot[] }> {
  const [waiting, held] = await Promise.all([redis.hgetall(turns), redis.hgetall(slots)]);
  const ids = [...new Set([...Object.keys(waiting), ...Object.keys(held)])];
  const active = ids.length === 0 ? [] : await redis.smismember(activeKey, ids);
  const alive = new Set(ids.filter((_, index) => active[index] === 1));
  const before = parsed.get(redis);
  const now = new Map(
    Object.entries(waiting).map(([id, text]) => {
      const same = before?.get(id);
      if (same?.text === text) return [id, same] as const;
      return [id, { text, move: waitingMoveSchema.safeParse(JSON.parse(text)).data }] as const;
    }),
  );
  parsed.set(redis, now);
  return {
    waiting: [...now].flatMap(([id, { move }]) => (move === undefined || !alive.has(id) ? [] : [move])),
    held: Object.entries(held).flatMap(([id, text]) => {
      const [stage, source = '', target = ''] = text.split(' ');
      if (!alive.has(id) || (stage !== 'ahead' && stage !== 'copy' && stage !== 'restore')) return [];
      return [{ id, stage, source, target: target === nowhere ? '' : target }];
    }),
  };
}

/** Says that migrations wait; until takeSlots or freeSlot. */
export async function waitForSlots(redis: Redis, moves: readonly WaitingMove[]): Promise<void> {
  if (moves.length === 0) return;
  await redis.hset(turns, ...moves.flatMap((move) => [move.id, JSON.stringify(move)]));
}

/** Nobody waits for a place any more; the move looks at its record. */
export async function stopWaiting(redis: Redis, id: string): Promise<void> {
  await redis.hdel(turns, id);
}

/**
 * Takes places where there is room, by one look at all of them; who comes first has the choice.
 * @param unlessWaiting none, where somebody waits already: these moves do not, and would pass him
 * @returns ids of those that have theirs.
 */
export async function takeSlots(
  redis: Redis,
  moves: readonly Pick<WaitingMove, 'id' | 'stage' | 'source' | 'target'>[],
  limits: Limits,
  unlessWaiting = false,
): Promise<Set<string>> {
  if (moves.length === 0) return new Set();
  const most = [limits.out, limits.in, limits.link, limits.cluster, unlessWaiting ? 1 : 0];
  const wanted = moves.flatMap(({ id, stage, source, target }) => [
    id,
    stage,
    source,
    target === '' ? nowhere : target,
  ]);
  const taken = String(await script(redis, 'takeSlots', slots, activeKey, turns, ...most, ...wanted));
  return new Set(taken === '' ? [] : taken.split(' '));
}

/** Its memory has left the source. */
export async function passSlot(redis: Redis, id: string): Promise<void> {
  await script(redis, 'passSlot', slots, id);
}

export async function freeSlot(redis: Redis, id: string): Promise<void> {
  await Promise.all([redis.hdel(slots, id), redis.hdel(turns, id)]);
}
