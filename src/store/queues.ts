import { Queue, Worker } from 'bullmq';
import { Redis as IORedis, type Redis } from 'ioredis';
import type { Logger } from '../telemetry/logger.ts';
import { keyPrefix, type RedisAddress } from './connection.ts';

/** Queue of move requests, taken by controllers. */
export const migrationQueue = 'migrations';
/** Queue of what agents report: hooks of Slurm, ended containers. */
export const reportQueue = 'reports';
/** Queue of commands to one agent. */
export const nodeQueue = (node: string) => `node-${node}`;

const prefix = `${keyPrefix}-bull`;

/** BullMQ's own goes up to 20 s, for which nothing could be queued after Redis is back. */
const retryStrategy = (attempt: number) => Math.min(50 * attempt, 500);

/** A connection for the producer side of many queues. Fails at once while Redis is away, instead of queueing. */
export function connectQueues(address: RedisAddress, log: Logger): Redis {
  const connection = new IORedis({ ...address, enableOfflineQueue: false, maxRetriesPerRequest: 1, retryStrategy });
  connection.on('error', (error) => log.debug({ error: error.message }, 'queues'));
  return connection;
}

/** Producer side. @param connection of connectQueues, where there are many queues: each has its own without. */
export function openQueue(name: string, address: RedisAddress, log: Logger, connection?: Redis): Queue {
  const queue = new Queue(name, {
    connection: connection ?? { ...address, enableOfflineQueue: false, maxRetriesPerRequest: 1, retryStrategy },
    // What it would write is the same for every queue, and nobody reads it.
    skipMetasUpdate: true,
    prefix,
    defaultJobOptions: {
      attempts: 1,
      removeOnComplete: { age: 3600, count: 1000 },
      removeOnFail: { age: 3600, count: 1000 },
    },
  });
  queue.on('error', (error) => log.debug({ queue: name, error: error.message }, 'queue'));
  return queue;
}

/**
 * Consumer side. Delivery is at least once, so nothing is ever started a second time by BullMQ itself
 * (maxStalledCount 0): the records say what was done, and the controller decides what to do again.
 */
export function openWorker(
  name: string,
  address: RedisAddress,
  log: Logger,
  concurrency: number,
  handle: (data: unknown) => Promise<void>,
): Worker {
  const worker = new Worker(name, async (job) => handle(job.data), {
    connection: {
      ...address,
      maxRetriesPerRequest: null,
      retryStrategy,
    },
    prefix,
    concurrency,
    maxStalledCount: 0,
    lockDuration: 30_000,
  });
  worker.on('error', (error) => log.debug({ queue: name, error: error.message }, 'worker'));
  worker.on('failed', (job, error) => log.warn({ queue: name, job: job?.id, error: error.message }, 'job failed'));
  return worker;
}

/** Closes workers with a deadline: BullMQ's own close has none. */
export async function closeWithin(ms: number, ...closables: { close(): Promise<void> }[]): Promise<void> {
  const timer = new Promise<void>((resolve) => setTimeout(resolve, ms).unref());
  await Promise.race([Promise.allSettled(closables.map((closable) => closable.close())), timer]);
}

const resultKey = (id: string) => `${keyPrefix}:result:${id}`;
export const resultChannel = (controller: string) => `${keyPrefix}:results:${controller}`;
const resultTtlMs = 3_600_000;

/** An agent's answer to one command, kept for an hour and announced to the controller that asked. */
export async function writeResult(redis: Redis, controller: string, id: string, result: unknown): Promise<void> {
  await redis
    .multi()
    .set(resultKey(id), JSON.stringify(result), 'PX', resultTtlMs)
    .publish(resultChannel(controller), id)
    .exec();
}

export async function readResult(redis: Redis, id: string): Promise<unknown> {
  const text = await redis.get(resultKey(id));
  return text === null ? undefined : JSON.parse(text);
}
