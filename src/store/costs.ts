import type { Redis } from 'ioredis';
import type { CostSample } from '../migration/estimate.ts';
import { keyPrefix } from './connection.ts';

const key = `${keyPrefix}:costs`;
const kept = 50;

export async function addCostSample(redis: Redis, sample: CostSample): Promise<void> {
  await redis
    .multi()
    .lpush(key, JSON.stringify(sample))
    .ltrim(key, 0, kept - 1)
    .exec();
}

export async function readCostSamples(redis: Redis): Promise<CostSample[]> {
  const texts = await redis.lrange(key, 0, kept - 1);
  return texts.map((text) => JSON.parse(text) as CostSample);
}
