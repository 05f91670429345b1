import type { Redis } from 'ioredis';
import { keyPrefix, script } from './connection.ts';

const key = (name: string) => `${keyPrefix}:lease:${name}`;

/** Takes or renews a lease for `holder`; false where somebody else holds it. */
export async function renewLease(redis: Redis, name: string, holder: string, ms: number): Promise<boolean> {
  return (await script(redis, 'renewLease', key(name), holder, ms)) === 1;
}

export async function dropLease(redis: Redis, name: string, holder: string): Promise<void> {
  await script(redis, 'dropLease', key(name), holder);
}
