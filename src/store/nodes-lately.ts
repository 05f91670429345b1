import type { Redis } from 'ioredis';
import { type Agent, type Heartbeat, parseAgent, parseHeartbeat, readHeartbeatText } from './nodes.ts';

/** Agents report once a second: what was read of one this long ago serves whoever asks next. */
const keptMs = 500;
/** Nodes that nobody asked about for so long are forgotten. */
const forgottenMs = 60_000;

interface Seen {
  at: number;
  text: Promise<string | null>;
  /** Read out of the text by the first who wants it. */
  agent?: Agent | null;
  heartbeat?: Promise<Heartbeat | null>;
}

const seen = new WeakMap<Redis, { nodes: Map<string, Seen>; sweptAt: number }>();

/** Which start of a node's agent reports, as of a moment ago; null while it is silent. @param maxAgeMs 0: as of now */
export async function agentLately(redis: Redis, name: string, maxAgeMs: number = keptMs): Promise<Agent | null> {
  const { one, text } = await look(redis, name, maxAgeMs);
  one.agent ??= parseAgent(text);
  return one.agent;
}

/** All that a node's agent said a moment ago; null while it is silent. */
export async function heartbeatLately(redis: Redis, name: string): Promise<Heartbeat | null> {
  const { one, text } = await look(redis, name, keptMs);
  one.heartbeat ??= parseHeartbeat(redis, text);
  return await one.heartbeat;
}

async function look(redis: Redis, name: string, maxAgeMs: number): Promise<{ one: Seen; text: string | null }> {
  const of = seen.get(redis) ?? { nodes: new Map<string, Seen>(), sweptAt: performance.now() };
  seen.set(redis, of);
  const now = performance.now();
  if (now - of.sweptAt > forgottenMs) {
    for (const [node, { at }] of of.nodes) if (now - at > forgottenMs) of.nodes.delete(node);
    of.sweptAt = now;
  }
  const known = of.nodes.get(name);
  const one =
    known !== undefined && now - known.at < maxAgeMs ? known : { at: now, text: readHeartbeatText(redis, name) };
  if (one !== known) of.nodes.set(name, one);
  const forget = () => {
    if (of.nodes.get(name) === one) of.nodes.delete(name);
  };
  try {
    const text = await one.text;
    // One that comes back is seen at once.
    if (text === null) forget();
    return { one, text };
  } catch (error) {
    forget();
    throw error;
  }
}
