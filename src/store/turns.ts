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

/** Who waits, and who holds a place; what belongs to migrations that have ended is left out. */
export async function readTurns(redis: Redis): Promise<{ waiting: WaitingMove[]; held: HeldSlot[] }> {
  const [waiting, held, active] = await Promise.all([
    redis.hgetall(turns),
    redis.hgetall(slots),
    redis.smembers(activeKey),
  ]);
  const alive = new Set(active);
  return {
    waiting: Object.entries(waiting).flatMap(([id, text]) => {
      const { data } = waitingMoveSchema.safeParse(JSON.parse(text));
      return data === undefined || !alive.has(id) ? [] : [data];
    }),
    held: Object.entries(held).flatMap(([id, text]) => {
      const [stage, source = '', target = ''] = text.split(' ');
      if (!alive.has(id) || (stage !== 'ahead' && stage !== 'copy' && stage !== 'restore')) return [];
      return [{ id, stage, source, target: target === nowhere ? '' : target }];
    }),
  };
}

/** Says that a migration waits; until takeSlot or freeSlot. */
export async function waitForSlot(redis: Redis, move: WaitingMove): Promise<void> {
  await redis.hset(turns, move.id, JSON.stringify(move));
}

/** Nobody waits for a place any more; the move looks at its record. */
export async function stopWaiting(redis: Redis, id: string): Promise<void> {
  await redis.hdel(turns, id);
}

/** Takes a place where there is room, by one look at all of them. */
export async function takeSlot(
  redis: Redis,
  { id, stage, source, target }: Pick<WaitingMove, 'id' | 'stage' | 'source' | 'target'>,
  limits: Limits,
): Promise<boolean> {
  const where = [source, target === '' ? nowhere : target];
  const most = [limits.out, limits.in, limits.link, limits.cluster];
  if ((await script(redis, 'takeSlot', slots, activeKey, id, stage, ...where, ...most)) !== 1) return false;
  await redis.hdel(turns, id);
  return true;
}

/** Its memory has left the source. */
export async function passSlot(redis: Redis, id: string): Promise<void> {
  await script(redis, 'passSlot', slots, id);
}

export async function freeSlot(redis: Redis, id: string): Promise<void> {
  await redis.multi().hdel(slots, id).hdel(turns, id).exec();
}
