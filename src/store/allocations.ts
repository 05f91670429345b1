import type { Redis } from 'ioredis';
import { type AllocationRecord, allocationRecordSchema } from '../migration/allocation.ts';
import { keyPrefix } from './connection.ts';
import type { HeldLease } from './leases.ts';

const all = `${keyPrefix}:allocations`;

/** How the allocation of a job followed its containers; null where none has moved yet. */
export async function readAllocation(redis: Redis, job: number): Promise<AllocationRecord | null> {
  const text = await redis.hget(all, String(job));
  return text === null ? null : allocationRecordSchema.parse(JSON.parse(text));
}

/** @throws RankshiftError E_STALE where the lease is lost: then nothing was written. */
export async function writeAllocation(lease: HeldLease, record: AllocationRecord): Promise<void> {
  await lease.write(all, String(record.job), JSON.stringify(record));
}

/** @throws RankshiftError E_STALE where the lease is lost. */
export async function removeAllocation(lease: HeldLease, job: number): Promise<void> {
  await lease.write(all, String(job), null);
}

/** Jobs that have such a record. */
export async function listAllocations(redis: Redis): Promise<number[]> {
  return (await redis.hkeys(all)).map(Number).sort((a, b) => a - b);
}
