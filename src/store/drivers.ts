import type { Redis } from 'ioredis';
import { isFinal, reduce } from '../migration/machine.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { keyPrefix, script } from './connection.ts';
import { applyEvent, migrationKey } from './migrations.ts';

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
  const { id, revision } = record;
  const driven = { type: 'driven', at: Date.now(), driver } as const;
  const next = isFinal(record.state) ? record : { ...reduce(record, driven), revision: revision + 1 };
  const text = next === record ? '' : JSON.stringify(next);
  const keys = [key(id), migrationKey(id)];
  const answer = await script(redis, 'takeMigration', ...keys, controller, alivePrefix, keptMs, revision, text);
  if (answer === 0) return null;
  return answer === 2 ? next : await applyEvent(redis, id, driven);
}

export async function leaveMigration(redis: Redis, migration: string, controller: string): Promise<void> {
  await script(redis, 'dropLease', key(migration), controller);
}
