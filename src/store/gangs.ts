import type { Redis } from 'ioredis';
import { activeKey, keyPrefix, script } from './connection.ts';

/** Containers of one job that move in one group, and freeze together. */
export interface Gang {
  group: string;
  job: number;
}

const key = ({ group, job }: Gang) => `${keyPrefix}:gang:${group}:${job}`;
/** Nobody needs it for longer. */
const keptSeconds = 7 * 86_400;

/** Before the move is queued: the others wait for it from now on. */
export async function joinGang(redis: Redis, gang: Gang, migration: string): Promise<void> {
  await redis.multi().hset(key(gang), migration, 'coming').expire(key(gang), keptSeconds).exec();
}

/** The move has ended, or goes by itself: nobody waits for it. */
export async function leaveGang(redis: Redis, gang: Gang, migration: string): Promise<void> {
  await redis.hdel(key(gang), migration);
}

/** Whether all that are expected are ready; with `now` those that are go without the others. */
export async function gangReady(redis: Redis, gang: Gang, migration: string, now: boolean): Promise<boolean> {
  return (await script(redis, 'gangReady', key(gang), activeKey, migration, now ? '1' : '0')) === 'go';
}

/** How far a member is in its freeze: it could, it is frozen and drained, it stands restored on its target, its port is open. */
export type GangStep = 'armed' | 'drained' | 'standing' | 'released';

/** How many others are waited for at that step. */
export async function gangReached(redis: Redis, gang: Gang, migration: string, step: GangStep): Promise<number> {
  return Number(await script(redis, 'gangReached', key(gang), migration, step));
}

/** How many members a gang has that have not left it. */
export async function gangSize(redis: Redis, gang: Gang): Promise<number> {
  return redis.hlen(key(gang));
}
