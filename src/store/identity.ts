import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { keyPrefix } from './connection.ts';

const key = `${keyPrefix}:identity`;

/** Gives these records a name, unless they have one: an empty Redis is not mistaken for one that knows no container. */
export async function nameRecords(redis: Redis): Promise<void> {
  await redis.set(key, randomUUID(), 'NX');
}

/** Null where nobody has named them, or they are gone. */
export async function readIdentity(redis: Redis): Promise<string | null> {
  return await redis.get(key);
}
