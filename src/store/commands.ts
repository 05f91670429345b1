import { Redis as IORedis, type Redis } from 'ioredis';
import type { Logger } from '../telemetry/logger.ts';
import { keyPrefix, type RedisAddress } from './connection.ts';
import { retryStrategy } from './queues.ts';

/** The stream of commands to one agent: what it has not taken yet. */
export const commandsKey = (node: string) => `${keyPrefix}:commands:${node}`;
const field = 'envelope';

/** Far more than an agent is ever asked at a time: bounds what somebody could leave in Redis for one that is away. */
const most = 10_000;
/** How long one question for commands waits for some. */
const blockMs = 10_000;
/** A connection that has not answered by then is broken, although nothing says so. */
const brokenMs = blockMs + 5000;
const againMs = 200;

/** @param envelope as JSON text */
export async function addCommand(redis: Redis, node: string, envelope: string): Promise<void> {
  await redis.xadd(commandsKey(node), 'MAXLEN', '~', most, '*', field, envelope);
}

/**
 * Takes the commands of one agent, so many at a time. One is taken out of the stream before it is begun, so none is begun
 * a second time, by whatever start of the agent; one that is answered by nobody, its sender gives up by himself.
 * @param redis on which they are taken; the questions for them, which wait, have a connection of their own.
 * @param handle an exception is logged, and nothing else.
 */
export function takeCommands(
  redis: Redis,
  node: string,
  address: RedisAddress,
  log: Logger,
  concurrency: number,
  handle: (data: unknown) => Promise<void>,
): { close(): Promise<void> } {
  const reader = connect(address, log);
  const underWay = new Set<Promise<void>>();
  let closed = false;
  const carryOut = (text: string) => {
    const done = (async () => handle(JSON.parse(text)))()
      .catch((error: Error) => log.warn({ error: error.message }, 'a command was not carried out'))
      .finally(() => underWay.delete(done));
    underWay.add(done);
  };
  const take = async () => {
    const entries = await readSome(reader, commandsKey(node), concurrency - underWay.size);
    if (entries.length === 0 || closed) return;
    await redis.xdel(commandsKey(node), ...entries.map(([id]) => id));
    for (const [, [, text = 'null']] of entries) carryOut(text);
  };
  const taking = (async () => {
    while (!closed) {
      if (underWay.size >= concurrency) await Promise.race(underWay);
      else
        await take().catch(async (error: Error) => {
          if (closed) return;
          log.debug({ error: error.message }, 'commands');
          await new Promise((resolve) => setTimeout(resolve, againMs));
        });
    }
  })();
  return {
    async close() {
      closed = true;
      reader.disconnect();
      await taking;
      await Promise.allSettled(underWay);
    },
  };
}

type Entry = [id: string, fields: string[]];

/** From the beginning each time: what was taken is not there any more. */
async function readSome(reader: Redis, key: string, count: number): Promise<Entry[]> {
  let timer: NodeJS.Timeout | undefined;
  try {
    timer = setTimeout(() => reader.disconnect(true), brokenMs);
    const answer = await reader.xread('COUNT', count, 'BLOCK', blockMs, 'STREAMS', key, '0');
    return (answer?.[0]?.[1] ?? []) as Entry[];
  } finally {
    clearTimeout(timer);
  }
}

function connect(address: RedisAddress, log: Logger): Redis {
  const redis = new IORedis({ ...address, maxRetriesPerRequest: null, retryStrategy });
  redis.on('error', (error) => log.debug({ error: error.message }, 'commands'));
  return redis;
}
