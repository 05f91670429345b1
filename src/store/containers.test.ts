import test from 'ava';
import { script } from './connection.ts';
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

test('whoever settles a switch of an earlier run of the job is told that the container is not his', async (t) => {
  const redis = await luaRedis();
  const close = (run: string) => script(redis, 'abortSwitch', key, '7', 1, run);
  await redis.hset(key, 'owner', 'n1', 'epoch', '1', 'switch', '', 'committed', '', 'run', 'second');
  t.is(await close('first'), 'missing');
  t.false('closed:7' in (await redis.hgetall(key)));
  t.is(await close('second'), 'aborted');
  // A caller that does not know the run, and a record of before runs were numbered.
  t.is(await close(''), 'aborted');
  await redis.hset(key, 'run', '');
  t.is(await close('first'), 'aborted');
});
