import { setImmediate as soon } from 'node:timers/promises';
import test from 'ava';
import pLimit from 'p-limit';
import { bulkTurn, copiesAtOnce } from './bulk-turn.ts';

const order = { bandwidth: null, memoryBytes: 1e9 };

/** Whether it may begin by now. */
async function isReady({ ready }: { ready: Promise<void> }): Promise<boolean> {
  const late = soon().then(() => soon(false));
  return await Promise.race([ready.then(() => true), late]);
}

test('as many copies at a time as the processors feed, and always one', (t) => {
  t.deepEqual([1, 2, 7, 8, 64].map(copiesAtOnce), [1, 1, 1, 2, 16]);
});

test('one after another, in the order in which they came', async (t) => {
  const context = { copies: pLimit(1) };
  const turns = [1, 2, 3].map(() => bulkTurn(context, order));
  for (const [index, turn] of turns.entries()) {
    const ready = await Promise.all(turns.map(isReady));
    t.deepEqual(
      ready,
      [0, 1, 2].map((other) => other <= index),
    );
    turn.end();
    turn.end();
  }
  await soon();
  t.is(context.copies.activeCount + context.copies.pendingCount, 0);
});

test('who is called off while it waits makes no other wait', async (t) => {
  const context = { copies: pLimit(1) };
  const [first, second, third] = [1, 2, 3].map(() => bulkTurn(context, order));
  second?.end();
  first?.end();
  t.true(third !== undefined && (await isReady(third)));
  third?.end();
});

test('with a bandwidth of its own it shares', async (t) => {
  const context = { copies: pLimit(1) };
  const first = bulkTurn(context, order);
  t.true(await isReady(bulkTurn(context, { ...order, bandwidth: 1e6 })));
  first.end();
});

test('nobody waits for longer than its own copy may take', async (t) => {
  const context = { copies: pLimit(1) };
  const slow = bulkTurn(context, { ...order, memoryBytes: 1e12 });
  const small = bulkTurn(context, { ...order, memoryBytes: 4096 });
  t.false(await isReady(small));
  await small.ready;
  t.true(await isReady(slow));
  small.end();
  slow.end();
});
