import type { ChainableCommander, Redis } from 'ioredis';
import { z } from 'zod';
import { nodeNameSchema } from '../migration/record.ts';
import { patiently } from '../patience.ts';
import { keyPrefix } from './connection.ts';
import { flagsOf, nameFlags } from './cpu-flags.ts';

/**
 * What balancing goes by: averages over some ten seconds. Shares are of the time, 0 to 1, processors of use; each
 * container takes some 40 bytes, and no more than a bound of them are told.
 */
export const nodeLoadSchema = z.object({
  /** Processors in use by everything. */
  used: z.number(),
  /** Somebody waited for a processor (PSI, some). */
  pressure: z.number(),
  /** Tasks that run or could. */
  runQueue: z.number(),
  /** Taken by a hypervisor. */
  steal: z.number(),
  /** Memory pressure (PSI, some). */
  memory: z.number(),
  /** Container -> processors in use, share held up, share throttled by its own limit, share of its ranks inside of MPI. */
  containers: z.record(z.string(), z.tuple([z.number(), z.number(), z.number(), z.number().nullable()])),
});
export type NodeLoad = z.infer<typeof nodeLoadSchema>;

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
  /** Null until it was measured. */
  balance: nodeLoadSchema.nullable().default(null),
  /** Live pre-copy and lazy population work here; else why not. */
  pages: z.object({ ok: z.boolean(), reason: z.string() }).default({ ok: false, reason: 'not probed' }),
  /** CRIU can write memory in rounds here (soft-dirty). */
  softDirty: z.boolean().default(false),
  criu: z.object({ ok: z.boolean(), version: z.string(), lines: z.array(z.string()) }),
  cpuFlags: z.array(z.string()).readonly(),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

/** What balancing needs of a heartbeat: of a thousand nodes, every few seconds. */
const loadSchema = heartbeatSchema
  .pick({ name: true, cpus: true, balance: true })
  .extend({ criu: z.object({ ok: z.boolean() }) });
export type MeasuredNode = z.infer<typeof loadSchema> & { balance: NodeLoad };

export const heartbeatMs = 1000;
export const heartbeatTtlMs = patiently(4000);

const key = (name: string) => `${keyPrefix}:node:${name}`;
const all = `${keyPrefix}:nodes`;

/** As it is in Redis: the kind of processor by its name (cpu-flags.ts). */
const writtenSchema = heartbeatSchema.omit({ cpuFlags: true }).extend({ cpuKind: z.string() });

export async function writeHeartbeat(redis: Redis, heartbeat: Heartbeat): Promise<void> {
  await addHeartbeat(redis.multi(), heartbeat).exec();
}

/** The commands that write one, for a pipeline. */
export function addHeartbeat(commands: ChainableCommander, heartbeat: Heartbeat): ChainableCommander {
  const { cpuFlags, ...rest } = heartbeat;
  const written: z.infer<typeof writtenSchema> = { ...rest, cpuKind: nameFlags(commands, cpuFlags) };
  return commands.set(key(rest.name), JSON.stringify(written), 'PX', heartbeatTtlMs).sadd(all, rest.name);
}

export async function readHeartbeat(redis: Redis, name: string): Promise<Heartbeat | null> {
  return parseHeartbeat(redis, await redis.get(key(name)));
}

const agentSchema = heartbeatSchema.pick({ instance: true, address: true, port: true });
export type Agent = z.infer<typeof agentSchema>;

/** What a node's agent said last; null while it is silent. */
export async function readHeartbeatText(redis: Redis, name: string): Promise<string | null> {
  return await redis.get(key(name));
}

/** Which start of a node's agent reports, and where it listens. The rest is not looked at. */
export function parseAgent(text: string | null): Agent | null {
  return text === null ? null : (agentSchema.safeParse(JSON.parse(text)).data ?? null);
}

export async function readHeartbeats(redis: Redis, names: readonly string[]): Promise<(Heartbeat | null)[]> {
  if (names.length === 0) return [];
  return await parseHeartbeats(redis, await redis.mget(names.map(key)));
}

/** Which of these nodes have an agent that ever reported. */
export async function reportedNodes(redis: Redis, names: readonly string[]): Promise<boolean[]> {
  if (names.length === 0) return [];
  return (await redis.smismember(all, [...names])).map((is) => is === 1);
}

/** n2 before n10. */
const byNumber = new Intl.Collator('en', { numeric: true });

/** Every node whose agent ever reported, with its heartbeat while that is fresh. */
export async function listNodes(redis: Redis): Promise<{ name: string; heartbeat: Heartbeat | null }[]> {
  const names = (await redis.smembers(all)).sort(byNumber.compare);
  const heartbeats = await readHeartbeats(redis, names);
  return names.map((name, index) => ({ name, heartbeat: heartbeats[index] ?? null }));
}

/** The nodes that live and say how loaded they are. */
export async function listLoads(redis: Redis): Promise<MeasuredNode[]> {
  const names = await redis.smembers(all);
  if (names.length === 0) return [];
  return (await redis.mget(names.map(key))).flatMap((text) => {
    const { data } = loadSchema.safeParse(text === null ? null : JSON.parse(text));
    return data?.balance ? [{ ...data, balance: data.balance }] : [];
  });
}

/** One that cannot be read, or whose kind of processor nobody has named yet, is none. */
async function parseHeartbeats(redis: Redis, texts: readonly (string | null)[]): Promise<(Heartbeat | null)[]> {
  const written = texts.map((text) => (text === null ? undefined : writtenSchema.safeParse(JSON.parse(text)).data));
  const kinds = await flagsOf(redis, new Set(written.flatMap((one) => one?.cpuKind ?? [])));
  return written.map((one) => {
    const flags = one === undefined ? undefined : kinds.get(one.cpuKind);
    if (one === undefined || flags === undefined) return null;
    const { cpuKind: _, ...rest } = one;
    return { ...rest, cpuFlags: flags };
  });
}

export async function parseHeartbeat(redis: Redis, text: string | null): Promise<Heartbeat | null> {
  const [heartbeat = null] = await parseHeartbeats(redis, [text]);
  return heartbeat;
}
