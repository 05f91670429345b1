import test from 'ava';
import { activeKey } from '../store/connection.ts';
import { luaRedis } from '../store/testing.ts';
import type { ControllerContext } from './context.ts';
import { TurnTaker } from './turn-taker.ts';

const most = 10_000;
const config = { maxMoves: most, maxMovesOut: most, maxMovesIn: most, maxMovesPerLink: most };

/** @param answerMs how long Redis takes for an answer */
async function takerOn(answerMs: number) {
  const redis = await luaRedis();
  const asked: string[] = [];
  const slow = new Proxy(redis, {
    get: (target, name) => {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== 'function' || name === 'pass') return method;
      return async (...args: unknown[]) => {
        asked.push(String(name));
        await new Promise((resolve) => setTimeout(resolve, answerMs));
        return await Reflect.apply(method, target, args);
      };
    },
  });
  const context = { redis: slow, config, stopping: new AbortController().signal } as unknown as ControllerContext;
  return { redis, asked, taker: new TurnTaker(context) };
}

const move = (id: string) =>
  ({ id, stage: 'ahead', source: 'n1', target: '', copySeconds: 0, restoreSeconds: 0, given: true, since: 0 }) as const;

test('where there is room for all, nobody that comes while others are given their places waits for a later look', async (t) => {
  const { redis, asked, taker } = await takerOn(5);
  const places: Promise<{ taken: boolean }>[] = [];
  // One after another, so that each look finds some that came during the one before.
  for (let id = 1; id <= 60; id++) {
    await redis.sadd(activeKey, String(id));
    places.push(taker.news(move(String(id)), { quietMs: 1000, told: '', again: false }));
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  t.true((await Promise.all(places)).every(({ taken }) => taken));
  // What is asked where somebody has to wait: to say so, and to read who else does.
  t.deepEqual(
    asked.filter((name) => name !== 'evalsha' && name !== 'eval'),
    [],
  );
});
