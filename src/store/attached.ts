import type { Redis } from 'ioredis';
import { keyPrefix, script } from './connection.ts';

const key = (job: number) => `${keyPrefix}:attached:${job}`;

/**
 * Notes for all controllers that a `rankshift run` is there and reads the output of its job. It is forgotten after `ms`.
 * @param who one reading: the end of an old connection must not take away a new one
 */
export async function noteAttached(redis: Redis, job: number, who: string, ms: number): Promise<void> {
  await script(redis, 'attach', key(job), who, ms);
}

export async function noteDetached(redis: Redis, job: number, who: string): Promise<void> {
  await redis.zrem(key(job), who);
}

export async function isAttached(redis: Redis, job: number): Promise<boolean> {
  return Number(await script(redis, 'attached', key(job))) > 0;
}
