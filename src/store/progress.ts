import type { Redis } from 'ioredis';
import { type Progress, progressSchema } from '../migration/record.ts';
import { keyPrefix } from './connection.ts';

const key = (migration: string) => `${keyPrefix}:progress:${migration}`;
/** Longer than any agent is silent while it copies; then it is no news any more. */
const ttlSeconds = 60;

/** How far a move is. Not part of its record: it may be lost, and changes often. */
export async function writeProgress(redis: Redis, migration: string, progress: Progress): Promise<void> {
  await redis.set(key(migration), JSON.stringify(progress), 'EX', ttlSeconds);
}

export async function readProgress(redis: Redis, migration: string): Promise<Progress | null> {
  const text = await redis.get(key(migration));
  if (text === null) return null;
  const parsed = progressSchema.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}
