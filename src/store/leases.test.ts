import test from 'ava';
import { HeldLease, renewLease } from './leases.ts';
import { luaRedis } from './testing.ts';

const hash = 'rs:things';

test('a lease is held by one, and its holder may act', async (t) => {
  const redis = await luaRedis();
  const lease = await HeldLease.take(redis, 'thing', 60_000);
  t.is(await HeldLease.take(redis, 'thing', 60_000), null);
  await t.notThrowsAsync(async () => await lease?.confirm());
  await lease?.write(hash, '1', 'mine');
  t.deepEqual(await redis.hgetall(hash), { 1: 'mine' });
  await lease?.write(hash, '1', null);
  t.deepEqual(await redis.hgetall(hash), {});
  await lease?.drop();
  t.true(await renewLease(redis, 'thing', 'another', 60_000));
});

test('who stood still for longer than his lease lasts learns it before his next act, and writes nothing', async (t) => {
  const redis = await luaRedis();
  const slow = await HeldLease.take(redis, 'thing', 60_000);
  redis.pass(60_001);
  const fast = await HeldLease.take(redis, 'thing', 60_000);
  await fast?.write(hash, '1', 'fast');
  await t.throwsAsync(async () => await slow?.write(hash, '1', 'slow'), { code: 'E_STALE' });
  await t.throwsAsync(async () => await slow?.confirm(), { code: 'E_STALE' });
  t.deepEqual(await redis.hgetall(hash), { 1: 'fast' });
  // Also where the other has come and gone meanwhile.
  await fast?.drop();
  await t.throwsAsync(async () => await slow?.write(hash, '1', 'slow'), { code: 'E_STALE' });
  await t.throwsAsync(async () => await slow?.confirm(), { code: 'E_STALE' });
  // What it gives back is not another's.
  const third = await HeldLease.take(redis, 'thing', 60_000);
  await slow?.drop();
  await t.notThrowsAsync(async () => await third?.confirm());
  await third?.drop();
});

test('a lease that ran out and that nobody has taken is lost all the same', async (t) => {
  const redis = await luaRedis();
  const lease = await HeldLease.take(redis, 'thing', 60_000);
  redis.pass(60_001);
  await t.throwsAsync(async () => await lease?.confirm(), { code: 'E_STALE' });
  await lease?.drop();
});
