import type { Redis } from 'ioredis';
import { type CostSample, costSampleSchema } from '../migration/estimate.ts';
import { keyPrefix } from './connection.ts';

const key = `${keyPrefix}:costs`;
const kept = 200;

export async function addCostSample(redis: Redis, sample: CostSample): Promise<void> {
  await redis
    .multi()
    .lpush(key, JSON.stringify(sample))
    .ltrim(key, 0, kept - 1)
    .exec();
}

/** Newest first. What another release left is passed over. */
export async function readCostSamples(redis: Redis): Promise<CostSample[]> {
  const texts = await redis.lrange(key, 0, kept - 1);
  return texts.flatMap((text) => {
    const { data } = costSampleSchema.safeParse(JSON.parse(text));
    return data === undefined ? [] : [data];
  });
}
