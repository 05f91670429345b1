import test from 'ava';
import { setContainerState } from './containers.ts';
import { luaRedis } from './testing.ts';

const key = 'rs:container:42.0';

test('a container that was removed just before its state is set does not come back', async (t) => {
  const redis = await luaRedis();
  // Whatever was asked before: it is gone when the answer is acted on.
  Object.assign(redis, { exists: async () => 1 });
  await setContainerState(redis, '42.0', 'running');
  t.deepEqual(await redis.hgetall(key), {});
  await redis.hset(key, 'state', 'starting');
  await setContainerState(redis, '42.0', 'running');
  t.deepEqual(await redis.hgetall(key), { state: 'running' });
});
