/**
 * Leases, and who reads the output of a job, in a real Redis with its own clock; runs in a testbed's management node.
 * Prints `right`, or what was wrong.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../src/config.ts';
import { isAttached, noteAttached, noteDetached } from '../../src/store/attached.ts';
import { connectRedis, redisAddress } from '../../src/store/connection.ts';
import { HeldLease } from '../../src/store/leases.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

const [name, hash, job] = ['test-of-leases', 'rs:test-of-leases', 999_998];
const redis = connectRedis(redisAddress(loadConfig()), createLogger('leases', 'error'));

/** Until it is so; the time that it takes is Redis's affair. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(20)) if (await holds()) return;
  throw new Error(`never: ${what}`);
}

try {
  const slow = await HeldLease.take(redis, name, 60_000);
  assert.ok(slow !== null);
  assert.equal(await HeldLease.take(redis, name, 60_000), null);
  await slow.write(hash, '1', 'slow');
  // As if its holder had stood still for longer than it lasts.
  await redis.pexpire(`rs:lease:${name}`, 1);
  let fast: HeldLease | null = null;
  await until('the lease runs out', async () => {
    fast = await HeldLease.take(redis, name, 60_000);
    return fast !== null;
  });
  await assert.rejects(slow.write(hash, '1', 'slow again'), { code: 'E_STALE' });
  await assert.rejects(slow.confirm(), { code: 'E_STALE' });
  await slow.drop();
  await (fast as HeldLease | null)?.write(hash, '1', 'fast');
  assert.deepEqual(await redis.hgetall(hash), { 1: 'fast' });
  await (fast as HeldLease | null)?.write(hash, '1', null);
  await (fast as HeldLease | null)?.drop();
  assert.deepEqual(await redis.hgetall(hash), {});

  await noteAttached(redis, job, 'old', 100);
  await noteAttached(redis, job, 'new', 60_000);
  await noteDetached(redis, job, 'old');
  assert.ok(await isAttached(redis, job));
  await noteDetached(redis, job, 'new');
  assert.ok(!(await isAttached(redis, job)));
  await noteAttached(redis, job, 'dead', 200);
  await until('who is not heard of is forgotten', async () => !(await isAttached(redis, job)));
  console.log('right');
} catch (error) {
  console.log((error as Error).message);
} finally {
  await redis.del(hash);
  redis.disconnect();
}
