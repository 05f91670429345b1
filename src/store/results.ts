import type { Redis } from 'ioredis';
import { keyPrefix } from './connection.ts';

const resultKey = (id: string) => `${keyPrefix}:result:${id}`;
export const resultChannel = (controller: string) => `${keyPrefix}:results:${controller}`;
const resultTtlMs = 3_600_000;

/** An agent's answer to one command: told to the controller that asked, and kept for an hour should it not have heard. */
export async function writeResult(redis: Redis, controller: string, id: string, result: unknown): Promise<void> {
  const text = JSON.stringify(result);
  await redis
    .pipeline()
    .set(resultKey(id), text, 'PX', resultTtlMs)
    .publish(resultChannel(controller), `${id} ${text}`)
    .exec();
}

export async function readResult(redis: Redis, id: string): Promise<unknown> {
  const text = await redis.get(resultKey(id));
  return text === null ? undefined : JSON.parse(text);
}

/** The same of a command that was not begun, unless it was answered before. */
export async function writeDropped(redis: Redis, controller: string, id: string): Promise<void> {
  const text = JSON.stringify({ dropped: true });
  const first = await redis.set(resultKey(id), text, 'PX', resultTtlMs, 'NX');
  if (first !== null) await redis.publish(resultChannel(controller), `${id} ${text}`);
}

/** What came over a result channel; no result where it is none: whoever waits for it reads the one that is kept. */
export function parseAnnounced(message: string): { id: string; result: unknown } {
  const space = message.indexOf(' ');
  const id = message.slice(0, space);
  try {
    return { id, result: JSON.parse(message.slice(space + 1)) };
  } catch {
    return { id, result: undefined };
  }
}
