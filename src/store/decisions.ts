import type { Redis } from 'ioredis';
import { type DecisionRecord, decisionRecordSchema } from '../migration/decision.ts';
import { keyPrefix } from './connection.ts';

const key = `${keyPrefix}:decisions`;
const sinceKey = `${keyPrefix}:balance-since`;
const kept = 1000;
/** Where nobody has looked for so long, nobody knows whether a container was held up all the time. */
const sinceTtlMs = 30_000;

export async function addDecisions(redis: Redis, records: readonly DecisionRecord[]): Promise<void> {
  if (records.length === 0) return;
  const texts = records.map((record) => JSON.stringify(record));
  await redis
    .multi()
    .lpush(key, ...texts)
    .ltrim(key, 0, kept - 1)
    .exec();
}

/** Newest first. */
export async function readDecisions(redis: Redis, limit: number): Promise<DecisionRecord[]> {
  const texts = await redis.lrange(key, 0, limit - 1);
  return texts.flatMap((text) => {
    const { data } = decisionRecordSchema.safeParse(JSON.parse(text));
    return data === undefined ? [] : [data];
  });
}

/** Since when each container is held up, Unix ms: kept here, so that another controller goes on with it. */
export async function readHeldSince(redis: Redis): Promise<Map<string, number>> {
  return new Map(Object.entries(await redis.hgetall(sinceKey)).map(([id, at]) => [id, Number(at)]));
}

export async function writeHeldSince(redis: Redis, since: ReadonlyMap<string, number>): Promise<void> {
  const change = redis.multi().del(sinceKey);
  if (since.size > 0) change.hset(sinceKey, Object.fromEntries(since)).pexpire(sinceKey, sinceTtlMs);
  await change.exec();
}
