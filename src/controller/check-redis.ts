import type { Redis } from 'ioredis';
import type { Logger } from '../telemetry/logger.ts';

/** Settings on which the commit record rests, and why. */
const needed: Record<string, { value: string; why: string }> = {
  appendonly: { value: 'yes', why: 'a commit must survive a restart of Redis' },
  appendfsync: {
    value: 'always',
    why: 'a commit must be on disk before the target runs, and at once, inside the downtime',
  },
  'maxmemory-policy': { value: 'noeviction', why: 'no record may be dropped' },
};

/** What is wrong with the settings of Redis; empty where all is right. */
export async function redisFaults(redis: Redis): Promise<string[]> {
  const faults: string[] = [];
  for (const [name, { value, why }] of Object.entries(needed)) {
    const answer = (await redis.config('GET', name)) as string[];
    const found = answer[1];
    if (found !== value) faults.push(`${name} is ${found}, must be ${value}: ${why}`);
  }
  return faults;
}

export async function checkRedis(redis: Redis, log: Logger): Promise<void> {
  for (const fault of await redisFaults(redis)) log.error({ fault }, 'Redis is not set up for Rankshift');
}
