import type { Redis } from 'ioredis';
import { keyPrefix, script } from './connection.ts';

const alivePrefix = `${keyPrefix}:controller-alive:`;
const key = (migration: string) => `${keyPrefix}:driver:${migration}`;
/** Longer than any move. */
const keptMs = 7 * 86_400_000;

/** Says that a controller is alive: what it drives is its own for so long. One key for all of its migrations. */
export async function sayAlive(redis: Redis, controller: string, ms: number): Promise<void> {
  await redis.set(alivePrefix + controller, '1', 'PX', ms);
}

/** It drives nothing any more, and others need not wait. */
export async function sayGone(redis: Redis, controller: string): Promise<void> {
  await redis.del(alivePrefix + controller);
}

/** Takes a migration to drive it; false where another controller has it that is alive. */
export async function takeMigration(redis: Redis, migration: string, controller: string): Promise<boolean> {
  return (await script(redis, 'takeMigration', key(migration), controller, alivePrefix, keptMs)) === 1;
}

export async function leaveMigration(redis: Redis, migration: string, controller: string): Promise<void> {
  await script(redis, 'dropLease', key(migration), controller);
}
