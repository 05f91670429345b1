import test from 'ava';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { type Limits, Slots } from '../migration/schedule.ts';
import { activeKey } from './connection.ts';
import { gangReached, gangReady, gangSize, joinGang, leaveGang } from './gangs.ts';
import { luaRedis } from './testing.ts';
import { freeSlot, passSlot, readTurns, takeSlots, waitForSlots } from './turns.ts';

const node = fc.constantFrom('n1', 'n2', 'n3');
const step = fc.record({
  act: fc.constantFrom('ahead', 'copy', 'pass', 'free', 'end'),
  id: fc.integer({ min: 1, max: 8 }).map(String),
  source: node,
  target: node,
});
const few = fc.integer({ min: 1, max: 3 });

test('places are given as the schedule counts them, whatever comes in whatever order', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ out: few, in: few, link: few, cluster: few }),
      fc.array(step, { maxLength: 30 }),
      async (limits: Limits, steps) => {
        const redis = await luaRedis();
        for (let id = 1; id <= 8; id++) await redis.sadd(activeKey, String(id));
        const ended = new Set<string>();
        for (const { act, id, source, target } of steps) {
          if (ended.has(id)) continue;
          const held = (await readTurns(redis)).held;
          const mine = held.find((one) => one.id === id);
          if (act === 'pass') await passSlot(redis, id);
          else if (act === 'free') await freeSlot(redis, id);
          else if (act === 'end') {
            // Its driver died before it gave anything back.
            await redis.srem(activeKey, id);
            ended.add(id);
          } else {
            const counted = held.filter((one) => one.id !== id && (one.stage === 'ahead') === (act === 'ahead'));
            const used = new Slots(
              act === 'ahead' ? { ...limits, in: 99, link: 99 } : limits,
              counted.map((one) => ({ ...one, stage: one.stage === 'restore' ? 'restore' : 'copy' })),
            );
            const room = used.full({ source, target }) === null;
            t.is((await takeSlots(redis, [{ id, stage: act, source, target }], limits)).has(id), room);
            continue;
          }
          const now = (await readTurns(redis)).held.find((one) => one.id === id);
          if (act === 'pass') t.is(now?.stage, mine?.stage === 'copy' ? 'restore' : mine?.stage);
          else t.is(now, undefined);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('who waits is seen until he has his place, and not any more when his migration has ended', async (t) => {
  const redis = await luaRedis();
  await redis.sadd(activeKey, '1');
  const move = { id: '1', stage: 'ahead', source: 'n1', target: '', copySeconds: 0, restoreSeconds: 0 } as const;
  const waiting = { ...move, given: false, since: 1 };
  await waitForSlots(
    redis,
    ['1', '2'].map((id) => ({ ...waiting, id })),
  );
  t.deepEqual((await readTurns(redis)).waiting, [waiting]);
  t.deepEqual(await takeSlots(redis, [move], { out: 1, in: 1, link: 1, cluster: 1 }), new Set(['1']));
  t.deepEqual(await readTurns(redis), { waiting: [], held: [{ id: '1', stage: 'ahead', source: 'n1', target: '' }] });
});

test('several take their places in one look, each counted for the next; who waits is not passed', async (t) => {
  const redis = await luaRedis();
  for (const id of ['1', '2', '3', '4']) await redis.sadd(activeKey, id);
  const limits = { out: 2, in: 1, link: 1, cluster: 3 };
  const copy = (id: string, source: string, target: string) => ({ id, stage: 'copy', source, target }) as const;
  const moves = [copy('1', 'n1', 'n2'), copy('2', 'n3', 'n2'), copy('3', 'n1', 'n3'), copy('4', 'n1', 'n4')];
  t.deepEqual(await takeSlots(redis, moves, limits), new Set(['1', '3']));
  await passSlot(redis, '1');
  const late = { ...copy('2', 'n3', 'n5'), copySeconds: 0, restoreSeconds: 0, given: false, since: 1 };
  await waitForSlots(redis, [late]);
  t.deepEqual(await takeSlots(redis, [copy('4', 'n1', 'n4')], limits, true), new Set());
  t.deepEqual(await takeSlots(redis, [copy('4', 'n1', 'n4')], limits), new Set(['4']));
  await freeSlot(redis, '2');
  await freeSlot(redis, '4');
  t.deepEqual(await takeSlots(redis, [late], limits, true), new Set(['2']));
});

test('one that waits no more, its migration ended, does not keep others from their places', async (t) => {
  const redis = await luaRedis();
  for (const id of ['1', '2']) await redis.sadd(activeKey, id);
  const move = (id: string) => ({ id, stage: 'ahead', source: 'n1', target: '' }) as const;
  const waiting = { copySeconds: 0, restoreSeconds: 0, given: false, since: 1 };
  await waitForSlots(redis, [{ ...move('1'), ...waiting }]);
  const limits = { out: 1, in: 1, link: 1, cluster: 1 };
  t.deepEqual(await takeSlots(redis, [move('2')], limits, true), new Set());
  await redis.srem(activeKey, '1');
  t.deepEqual(await takeSlots(redis, [move('2')], limits, true), new Set(['2']));
});

const gang = { group: 'e1', job: 42 };

async function gangOf(...members: string[]): Promise<Redis> {
  const redis = await luaRedis();
  for (const id of members) {
    await redis.sadd(activeKey, id);
    await joinGang(redis, gang, id);
  }
  return redis;
}

test('a gang goes when its last member is ready, and all who were ready go', async (t) => {
  const redis = await gangOf('1', '2', '3');
  t.false(await gangReady(redis, gang, '1', false));
  t.false(await gangReady(redis, gang, '2', false));
  t.false(await gangReady(redis, gang, '1', false));
  t.true(await gangReady(redis, gang, '3', false));
  for (const id of ['1', '2']) t.true(await gangReady(redis, gang, id, false));
  t.deepEqual([await gangReached(redis, gang, '1', 'armed'), await gangReached(redis, gang, '2', 'armed')], [2, 1]);
  t.is(await gangReached(redis, gang, '2', 'drained'), 2);
  t.is(await gangReached(redis, gang, '3', 'armed'), 0);
  t.is(await gangReached(redis, gang, '1', 'drained'), 1);
  t.is(await gangReached(redis, gang, '3', 'drained'), 0);
  t.is(await gangReached(redis, gang, '2', 'standing'), 2);
  t.is(await gangReached(redis, gang, '1', 'standing'), 1);
  // A word that was long under way.
  await gangReached(redis, gang, '2', 'drained');
  t.is(await gangReached(redis, gang, '1', 'standing'), 1);
  // The third has rolled back, and its target says something late.
  await leaveGang(redis, gang, '3');
  await gangReached(redis, gang, '3', 'drained');
  t.is(await gangReached(redis, gang, '1', 'standing'), 0);
});

test('one that stands restored waits for those that are held, and not for those that run', async (t) => {
  const redis = await gangOf('1', '2', '3');
  t.true(await gangReady(redis, gang, '1', true));
  for (const id of ['2', '3']) t.true(await gangReady(redis, gang, id, true));
  await gangReached(redis, gang, '1', 'drained');
  await gangReached(redis, gang, '2', 'armed');
  t.is(await gangReached(redis, gang, '1', 'standing'), 0);
  await gangReached(redis, gang, '2', 'drained');
  t.is(await gangReached(redis, gang, '1', 'standing'), 1);
  t.is(await gangReached(redis, gang, '2', 'standing'), 0);
  t.is(await gangReached(redis, gang, '1', 'released'), 1);
  t.is(await gangReached(redis, gang, '2', 'released'), 0);
});

test('nobody waits for one that has left, has ended, or comes too late', async (t) => {
  const redis = await gangOf('1', '2', '3', '4');
  t.false(await gangReady(redis, gang, '1', false));
  await leaveGang(redis, gang, '2');
  t.is(await gangSize(redis, gang), 3);
  t.false(await gangReady(redis, gang, '1', false));
  // Its controller died between its end and its leaving.
  await redis.srem(activeKey, '3');
  t.false(await gangReady(redis, gang, '1', false));
  t.true(await gangReady(redis, gang, '1', true));
  // The fourth is late, and goes by itself: nobody else has not gone.
  t.true(await gangReady(redis, gang, '4', false));
  t.is(await gangReached(redis, gang, '1', 'armed'), 1);
  t.is(await gangReached(redis, gang, '4', 'armed'), 0);
});

test('whatever each does, no member waits for ever, and who once goes does not wait again', async (t) => {
  const acts = fc.record({
    id: fc.integer({ min: 1, max: 4 }).map(String),
    act: fc.constantFrom('look', 'late', 'leave', 'end', 'join', 'armed', 'drained', 'standing', 'released'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(acts, { maxLength: 25 }), async (list) => {
      const redis = await gangOf('1', '2', '3', '4');
      const gone = new Set<string>();
      for (const { id, act } of list) {
        if (act === 'look' || act === 'late') {
          const went = await gangReady(redis, gang, id, act === 'late');
          if (gone.has(id) || act === 'late') t.true(went);
          if (went) gone.add(id);
        } else if (act === 'end') await redis.srem(activeKey, id);
        else if (act === 'armed' || act === 'drained' || act === 'standing' || act === 'released') {
          if (gone.has(id)) t.true((await gangReached(redis, gang, id, act)) <= 3);
        } else {
          await (act === 'join' ? joinGang : leaveGang)(redis, gang, id);
          gone.delete(id);
        }
      }
      // Where all look again, one after another, each goes at the latest when the last has looked.
      for (const id of ['1', '2', '3', '4']) await gangReady(redis, gang, id, false);
      for (const id of ['1', '2', '3', '4']) t.true(await gangReady(redis, gang, id, false));
    }),
    { numRuns: 100 },
  );
});
