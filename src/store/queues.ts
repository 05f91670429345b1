import { Queue, Worker } from 'bullmq';
import { Redis as IORedis, type Redis } from 'ioredis';
import type { Logger } from '../telemetry/logger.ts';
import { keyPrefix, type RedisAddress } from './connection.ts';
import { writeTogether } from './write-together.ts';

/** Queue of move requests, taken by controllers. */
export const migrationQueue = 'migrations';
/** Queue of what agents report: hooks of Slurm, ended containers. */
export const reportQueue = 'reports';

const prefix = `${keyPrefix}-bull`;

/** BullMQ's own goes up to 20 s, for which nothing could be queued after Redis is back. */
export const retryStrategy = (attempt: number) => Math.min(50 * attempt, 500);

/** A connection on which a command fails at once while Redis is away, instead of being kept until it is back. */
export function connectImpatiently(address: RedisAddress, log: Logger): Redis {
  const connection = new IORedis({ ...address, enableOfflineQueue: false, maxRetriesPerRequest: 1, retryStrategy });
  connection.on('error', (error) => log.debug({ error: error.message }, 'commands'));
  return writeTogether(connection);
}

/** Producer side. */
export function openQueue(name: string, address: RedisAddress, log: Logger): Queue {
  const queue = new Queue(name, {
    connection: { ...address, enableOfflineQueue: false, maxRetriesPerRequest: 1, retryStrategy },
    // What it would write is the same for every queue, and nobody reads it.
    skipMetasUpdate: true,
    prefix,
    defaultJobOptions: {
      attempts: 1,
      // What became of it is in the records.
      removeOnComplete: true,
      removeOnFail: { count: 100 },
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
