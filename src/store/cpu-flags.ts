import { createHash } from 'node:crypto';
import type { ChainableCommander, Redis } from 'ioredis';
import { z } from 'zod';
import { keyPrefix } from './connection.ts';

const key = (id: string) => `${keyPrefix}:cpu-flags:${id}`;
const flagsSchema = z.array(z.string());
/** How often it is said again what a kind of processor has, should Redis have lost it. */
const againMs = 30_000;
const mostKinds = 1000;

/** What this process knows by its name; a name always means the same. */
const known = new Map<string, readonly string[]>();
const names = new WeakMap<readonly string[], string>();
const saidAt = new Map<string, number>();

/**
 * The name of a kind of processor. Nodes have few kinds, and the flags are most of a heartbeat: they are written once for
 * all nodes that have them. Adds the command for that where it is time.
 */
export function nameFlags(commands: ChainableCommander, flags: readonly string[]): string {
  const text = JSON.stringify(flags);
  const name = names.get(flags) ?? createHash('sha256').update(text).digest('hex').slice(0, 32);
  names.set(flags, name);
  const at = performance.now();
  if (at - (saidAt.get(name) ?? Number.NEGATIVE_INFINITY) > againMs) {
    commands.set(key(name), text, 'NX');
    saidAt.set(name, at);
  }
  return name;
}

/** The flags of kinds of processors; one that nobody has named is missing. */
export async function flagsOf(
  redis: Redis,
  wanted: ReadonlySet<string>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const unknown = [...wanted].filter((name) => !known.has(name));
  if (unknown.length === 0) return known;
  const texts = await redis.mget(unknown.map(key));
  if (known.size > mostKinds) known.clear();
  for (const [index, text] of texts.entries()) {
    const { data } = flagsSchema.safeParse(text == null ? null : JSON.parse(text));
    if (data !== undefined) known.set(unknown[index] ?? '', data);
  }
  return known;
}
