import type { Redis } from 'ioredis';
import { activeKey, keyPrefix, script } from './connection.ts';

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

/** What migrations under way were promised of each node, bytes. */
export async function reservedMemory(redis: Redis, nodes: readonly string[]): Promise<number[]> {
  const pipeline = redis.pipeline();
  for (const node of nodes) pipeline.hgetall(key(node));
  const answers = (await pipeline.exec()) ?? [];
  const promised = answers.map(([, fields]) => Object.entries((fields ?? {}) as Record<string, string>));
  const ids = [...new Set(promised.flatMap((entries) => entries.map(([id]) => id)))];
  const active = ids.length === 0 ? [] : await redis.smismember(activeKey, ids);
  const underWay = new Set(ids.filter((_, index) => active[index] === 1));
  return promised.map((entries) =>
    entries.reduce((sum, [id, bytes]) => (underWay.has(id) ? sum + Number(bytes) : sum), 0),
  );
}
