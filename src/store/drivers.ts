import type { Redis } from 'ioredis';
import { isFinal, reduce } from '../migration/machine.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { keyPrefix, script } from './connection.ts';
import { migrationKey, readMigration } from './migrations.ts';

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

/**
 * Takes a migration for a controller, and writes `driver` into its record: from then on whoever drove it before can write
 * no more. Of one that has ended the record stays as it is.
 * @param record as it was read or written last
 * @returns as it is from then on; null where another controller has it that is alive.
 */
export async function takeMigration(
  redis: Redis,
  record: MigrationRecord,
  controller: string,
  driver: string,
): Promise<MigrationRecord | null> {
  const { id } = record;
  for (let known = record; ; known = await readMigration(redis, id)) {
    const driven = { type: 'driven', at: Date.now(), driver } as const;
    const ended = isFinal(known.state);
    const next = ended ? known : { ...reduce(known, driven), revision: known.revision + 1 };
    const args = [controller, alivePrefix, keptMs, known.revision, ended ? '' : JSON.stringify(next)];
    const answer = await script(redis, 'takeMigration', key(id), migrationKey(id), ...args);
    if (answer === 0) return null;
    if (answer === 2) return next;
  }
}

/** Those of the migrations that a controller has that is alive. */
export async function drivenByOthers(
  redis: Redis,
  migrations: readonly string[],
  controller: string,
): Promise<Set<string>> {
  if (migrations.length === 0) return new Set();
  const holders = await redis.mget(migrations.map(key));
  const others = [...new Set(holders)].flatMap((holder) => (holder === null || holder === controller ? [] : [holder]));
  if (others.length === 0) return new Set();
  const alive = await redis.mget(others.map((holder) => alivePrefix + holder));
  const living = new Set(others.filter((_, index) => alive[index] !== null));
  return new Set(migrations.filter((_, index) => living.has(holders[index] ?? '')));
}

export async function leaveMigration(redis: Redis, migration: string, controller: string): Promise<void> {
  await script(redis, 'dropLease', key(migration), controller);
}
