import type { Redis } from 'ioredis';
import { type CostSample, costSampleSchema } from '../migration/estimate.ts';
import { keyPrefix } from './connection.ts';

const key = `${keyPrefix}:costs`;
const kept = 200;

export async function addCostSample(redis: Redis, sample: CostSample): Promise<void> {
  await redis
    .pipeline()
    .lpush(key, JSON.stringify(sample))
    .ltrim(key, 0, kept - 1)
    .exec();
  const last = seen.get(redis);
  if (last === undefined) return;
  const samples = last.samples.then((before) => [sample, ...before].slice(0, kept));
  samples.catch(() => undefined);
  seen.set(redis, { at: last.at, samples });
}

/** What this process read last; other controllers add to it. */
const seen = new WeakMap<Redis, { at: number; samples: Promise<CostSample[]> }>();
const seenMs = 2000;

/** Newest first, as of a moment ago. What another release left is passed over. */
export function readCostSamples(redis: Redis): Promise<CostSample[]> {
  const last = seen.get(redis);
  if (last !== undefined && performance.now() - last.at < seenMs) return last.samples;
  const samples = look(redis);
  seen.set(redis, { at: performance.now(), samples });
  samples.catch(() => seen.delete(redis));
  return samples;
}

async function look(redis: Redis): Promise<CostSample[]> {
  const texts = await redis.lrange(key, 0, kept - 1);
  return texts.flatMap((text) => {
    const { data } = costSampleSchema.safeParse(JSON.parse(text));
    return data === undefined ? [] : [data];
  });
}
