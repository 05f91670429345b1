import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { ContainerRecord } from '../migration/container.ts';
import { containerIdSchema, groupIdSchema } from '../migration/record.ts';
import { keyPrefix } from './connection.ts';

const key = (node: string) => `${keyPrefix}:left:${node}`;
const nodes = `${keyPrefix}:left-nodes`;

/** A container that an evacuation took away from a node, to be brought back by a return. */
const leftSchema = z.object({
  container: containerIdSchema,
  group: groupIdSchema,
  at: z.number(),
  /** Tells it from a container of the same name, of a job that was requeued. */
  startedAt: z.number(),
});
export type Left = z.infer<typeof leftSchema>;

export async function noteLeft(redis: Redis, node: string, left: Left): Promise<void> {
  await redis.multi().hset(key(node), left.container, JSON.stringify(left)).sadd(nodes, node).exec();
}

/** What left a node and still runs elsewhere, oldest first. What has ended or is back is forgotten. */
export async function listLeft(redis: Redis, node: string, containers: readonly ContainerRecord[]): Promise<Left[]> {
  const all = Object.values(await redis.hgetall(key(node))).map((text) => leftSchema.parse(JSON.parse(text)));
  const byId = new Map(containers.map((container) => [container.id, container]));
  const away = all.filter(({ container, startedAt }) => {
    const now = byId.get(container);
    return now !== undefined && now.state !== 'ended' && now.startedAt === startedAt && now.owner !== node;
  });
  const gone = all.filter((left) => !away.includes(left)).map(({ container }) => container);
  if (gone.length > 0) await redis.hdel(key(node), ...gone);
  if (away.length === 0) await redis.srem(nodes, node);
  return away.sort((a, b) => a.at - b.at);
}

/** Nodes that containers have left. */
export async function nodesLeft(redis: Redis): Promise<string[]> {
  return redis.smembers(nodes);
}

/** A container is back on a node: what it left there, and on its way since then, is forgotten. */
export async function forgetLeft(redis: Redis, node: string, container: string): Promise<void> {
  const text = await redis.hget(key(node), container);
  const since = text === null ? Number.POSITIVE_INFINITY : leftSchema.parse(JSON.parse(text)).at;
  for (const other of await nodesLeft(redis)) {
    const entry = await redis.hget(key(other), container);
    if (entry !== null && (other === node || leftSchema.parse(JSON.parse(entry)).at >= since)) {
      await redis.hdel(key(other), container);
    }
  }
}
