import type { Redis } from 'ioredis';
import { z } from 'zod';
import { nodeNameSchema } from '../migration/record.ts';
import { patiently } from '../patience.ts';
import { keyPrefix } from './connection.ts';

/** What an agent says of its node every second. Gone from Redis when the agent is silent for `heartbeatTtlMs`. */
export const heartbeatSchema = z.object({
  name: nodeNameSchema,
  address: z.ipv4(),
  port: z.number().int(),
  /** A new one with each start of the agent. */
  instance: z.string(),
  at: z.number(),
  kernel: z.string(),
  memoryAvailableBytes: z.number(),
  memoryTotalBytes: z.number(),
  stateDirFreeBytes: z.number(),
  cpus: z.number().int(),
  load: z.number(),
  /** Live pre-copy and lazy population work here; else why not. */
  pages: z.object({ ok: z.boolean(), reason: z.string() }).default({ ok: false, reason: 'not probed' }),
  /** CRIU can write memory in rounds here (soft-dirty). */
  softDirty: z.boolean().default(false),
  criu: z.object({ ok: z.boolean(), version: z.string(), lines: z.array(z.string()) }),
  cpuFlags: z.array(z.string()),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

export const heartbeatMs = 1000;
export const heartbeatTtlMs = patiently(4000);

const key = (name: string) => `${keyPrefix}:node:${name}`;
const all = `${keyPrefix}:nodes`;

export async function writeHeartbeat(redis: Redis, heartbeat: Heartbeat): Promise<void> {
  await redis
    .multi()
    .set(key(heartbeat.name), JSON.stringify(heartbeat), 'PX', heartbeatTtlMs)
    .sadd(all, heartbeat.name)
    .exec();
}

export async function readHeartbeat(redis: Redis, name: string): Promise<Heartbeat | null> {
  return parse(await redis.get(key(name)));
}

/** Every node whose agent ever reported, with its heartbeat while that is fresh. */
export async function listNodes(redis: Redis): Promise<{ name: string; heartbeat: Heartbeat | null }[]> {
  const names = (await redis.smembers(all)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (names.length === 0) return [];
  const texts = await redis.mget(names.map(key));
  return names.map((name, index) => ({ name, heartbeat: parse(texts[index] ?? null) }));
}

function parse(text: string | null): Heartbeat | null {
  if (text === null) return null;
  const parsed = heartbeatSchema.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}
