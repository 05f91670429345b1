import type { Redis } from 'ioredis';
import { type AllocationRecord, allocationRecordSchema } from '../migration/allocation.ts';
import { keyPrefix } from './connection.ts';

const all = `${keyPrefix}:allocations`;

/** How the allocation of a job followed its containers; null where none has moved yet. */
export async function readAllocation(redis: Redis, job: number): Promise<AllocationRecord | null> {
  const text = await redis.hget(all, String(job));
  return text === null ? null : allocationRecordSchema.parse(JSON.parse(text));
}

export async function writeAllocation(redis: Redis, record: AllocationRecord): Promise<void> {
  await redis.hset(all, String(record.job), JSON.stringify(record));
}

export async function removeAllocation(redis: Redis, job: number): Promise<void> {
  await redis.hdel(all, String(job));
}

/** Jobs that have such a record. */
export async function listAllocations(redis: Redis): Promise<number[]> {
  return (await redis.hkeys(all)).map(Number).sort((a, b) => a - b);
}
