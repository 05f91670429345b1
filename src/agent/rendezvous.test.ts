import test from 'ava';
import type { Redis } from 'ioredis';
import { activeKey } from '../store/connection.ts';
import { gangReady, joinGang, leaveGang } from '../store/gangs.ts';
import { luaRedis } from '../store/testing.ts';
import type { AgentContext } from './context.ts';
import { untilGangReached, untilGangReady } from './rendezvous.ts';

const gang = { group: 'e1', job: 42 };
const log = { warn: () => undefined } as unknown as AgentContext['log'];
type Context = Pick<AgentContext, 'redis' | 'log' | 'config'>;

async function gangOf(gangMs: number, ...members: string[]): Promise<Context> {
  const redis = await luaRedis();
  for (const id of members) {
    await redis.sadd(activeKey, id);
    await joinGang(redis, gang, id);
  }
  return { redis, log, config: { gangMs } as AgentContext['config'] };
}

const ready = (context: Context, id: string, more: { waiting?: () => Promise<void>; signal?: AbortSignal } = {}) =>
  untilGangReady(context, gang, id, {
    waiting: more.waiting ?? (async () => undefined),
    signal: more.signal ?? new AbortController().signal,
  });

test('all of a gang go together, and each is frozen only when all can be', async (t) => {
  const context = await gangOf(60_000, '1', '2', '3');
  const order: string[] = [];
  const member = async (id: string, afterMs: number) => {
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    t.true(await ready(context, id));
    order.push('go');
    await untilGangReached(context, gang, id, 'armed');
    order.push('frozen');
    await untilGangReached(context, gang, id, 'drained');
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    order.push('stands');
    t.true(await untilGangReached(context, gang, id, 'standing'));
    order.push('port open');
    t.true(await untilGangReached(context, gang, id, 'released'));
    order.push('runs');
  };
  await Promise.all([member('1', 0), member('2', 60), member('3', 120)]);
  t.deepEqual(
    order,
    ['go', 'frozen', 'stands', 'port open', 'runs'].flatMap((step) => [step, step, step]),
  );
});

test('one by itself does not wait', async (t) => {
  const alone = await gangOf(60_000, '1');
  t.false(await ready(alone, '1'));
});

test('one that dies, leaves or never comes keeps nobody: deadlines, running and frozen', async (t) => {
  const context = await gangOf(200, '1', '2', '3', '4');
  await leaveGang(context.redis, gang, '3');
  // The second is ready and dies after that; the fourth never comes.
  t.false(await gangReady(context.redis, gang, '2', false));
  t.true(await ready(context, '1'));
  const began = performance.now();
  await untilGangReached(context, gang, '1', 'drained');
  t.true(await untilGangReached(context, gang, '1', 'standing'));
  t.true(performance.now() - began < 5000);
});

test('who waits ends with his move, and with its stream; without Redis he goes by himself', async (t) => {
  const context = await gangOf(60_000, '1', '2');
  const ended = new AbortController();
  setTimeout(() => ended.abort(), 20);
  t.false(await ready(context, '1', { signal: ended.signal }));
  const broken = new Error('the stream broke');
  await t.throwsAsync(
    ready(context, '1', {
      waiting: async () => {
        throw broken;
      },
    }),
    { is: broken },
  );
  const away = { ...context, redis: { hlen: () => Promise.reject(new Error('away')) } as unknown as Redis };
  t.false(await ready(away, '1'));
  await untilGangReached(
    { ...context, redis: { eval: () => Promise.reject(new Error('away')) } as never },
    gang,
    '1',
    'armed',
  );
});
