import test from 'ava';
import { isAttached, noteAttached, noteDetached } from './attached.ts';
import { luaRedis } from './testing.ts';

test('whoever reads the output of a job is known to all until he ends, or is not heard of any more', async (t) => {
  const redis = await luaRedis();
  t.false(await isAttached(redis, 42));
  await noteAttached(redis, 42, 'a', 1000);
  t.true(await isAttached(redis, 42));
  t.false(await isAttached(redis, 43));
  redis.pass(999);
  t.true(await isAttached(redis, 42));
  redis.pass(1);
  t.false(await isAttached(redis, 42));
  await noteAttached(redis, 42, 'a', 1000);
  await noteDetached(redis, 42, 'a');
  t.false(await isAttached(redis, 42));
});

test('an old connection that ends late takes nothing from the new one of the same run', async (t) => {
  const redis = await luaRedis();
  await noteAttached(redis, 42, 'old', 1000);
  redis.pass(500);
  await noteAttached(redis, 42, 'new', 1000);
  await noteDetached(redis, 42, 'old');
  t.true(await isAttached(redis, 42));
  redis.pass(999);
  t.true(await isAttached(redis, 42));
});
