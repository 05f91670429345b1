import type { Redis } from 'ioredis';
import { z } from 'zod';
import { keyPrefix } from './connection.ts';

const key = (job: number) => `${keyPrefix}:exit:${job}`;
/** Whoever was cut off asks again within a second of the next controller's start. */
const keptMs = 3_600_000;

const exitSchema = z.object({ job: z.number().int(), run: z.string(), uid: z.number().int(), code: z.number().int() });
/** How the last run of a job ended. */
export type RunExit = z.infer<typeof exitSchema>;

export async function noteExit(redis: Redis, exit: RunExit): Promise<void> {
  await redis.set(key(exit.job), JSON.stringify(exit), 'PX', keptMs);
}

export async function readExit(redis: Redis, job: number): Promise<RunExit | null> {
  const text = await redis.get(key(job));
  return text === null ? null : exitSchema.parse(JSON.parse(text));
}

/** Before another run of the job begins: its end must not be taken for this one's. */
export async function forgetExit(redis: Redis, job: number): Promise<void> {
  await redis.del(key(job));
}
