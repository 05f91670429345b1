import type { Redis } from 'ioredis';
import { keyPrefix, script } from './connection.ts';
import { activeKey } from './migrations.ts';

const key = (node: string) => `${keyPrefix}:reserved:${node}`;

/**
 * Promises memory of a node to a migration until `freeMemory`: two moves that are planned at once must not count on the
 * same. Null, or the bytes that others were promised where they leave too little.
 */
export async function reserveMemory(
  redis: Redis,
  node: string,
  migration: string,
  { bytes, availableBytes }: { bytes: number; availableBytes: number },
): Promise<number | null> {
  const amounts = [Math.ceil(bytes), Math.floor(availableBytes)];
  const answer = await script(redis, 'reserveMemory', key(node), activeKey, migration, ...amounts);
  return answer === 'ok' ? null : Number(answer);
}

export async function freeMemory(redis: Redis, node: string, migration: string): Promise<void> {
  await redis.hdel(key(node), migration);
}

/** What migrations under way were promised of a node, bytes. */
export async function reservedMemory(redis: Redis, node: string): Promise<number> {
  const [promised, active] = await Promise.all([redis.hgetall(key(node)), redis.smembers(activeKey)]);
  return active.reduce((sum, migration) => sum + Number(promised[migration] ?? 0), 0);
}
