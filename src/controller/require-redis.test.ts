import test from 'ava';
import type { ApiRequest } from '../api/route.ts';
import { RankshiftError } from '../errors.ts';
import type { ControllerContext } from './context.ts';
import { requireRedis } from './require-redis.ts';

const request = {} as ApiRequest<unknown, unknown>;
const route = { method: 'GET', path: '/v1/x', handle: () => Promise.resolve('answered') } as const;

test('a route is answered while Redis answers', async (t) => {
  const redis = { ping: () => Promise.resolve('PONG') } as unknown as ControllerContext['redis'];
  t.is(await requireRedis({ redis }, route).handle(request), 'answered');
});

test('a Redis that does not answer: refused within seconds, and the route never runs', async (t) => {
  const redis = { ping: () => new Promise(() => undefined) } as unknown as ControllerContext['redis'];
  let ran = false;
  const handle = () => {
    ran = true;
    return Promise.resolve();
  };
  const error = await t.throwsAsync(async () => requireRedis({ redis }, { ...route, handle }).handle(request), {
    instanceOf: RankshiftError,
  });
  t.is(error.code, 'E_REDIS');
  t.false(ran);
});
