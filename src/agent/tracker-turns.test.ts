import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { copyTurn, inspectionTurn } from './tracker-turns.ts';

const newContext = () => ({ operations: new Map<string, Promise<unknown>>() });

test('looks at one container take turns, those at another one do not wait', async (t) => {
  const context = newContext();
  const seen: string[] = [];
  const look = (container: string, name: string) =>
    inspectionTurn(context, container, async (mayTrack) => {
      seen.push(`${name} begins`);
      await sleep(10);
      seen.push(`${name} ends`);
      return mayTrack;
    });
  t.deepEqual(await Promise.all([look('1.1', 'a'), look('1.1', 'b'), look('2.0', 'c')]), [true, true, true]);
  t.deepEqual(
    seen.filter((line) => !line.startsWith('c')),
    ['a begins', 'a ends', 'b begins', 'b ends'],
  );
  t.true(seen.indexOf('c begins') < seen.indexOf('a ends'));
  t.is(context.operations.size, 0);
});

test('a copy waits for looks that are under way; later ones do not track until it ends', async (t) => {
  const context = newContext();
  let looked = false;
  const look = inspectionTurn(context, '1.1', async () => {
    await sleep(20);
    looked = true;
  });
  const release = await copyTurn(context, '1.1');
  t.true(looked);
  await look;
  t.false(await inspectionTurn(context, '1.1', async (mayTrack) => mayTrack));
  release();
  t.true(await inspectionTurn(context, '1.1', async (mayTrack) => mayTrack));
  t.is(context.operations.size, 0);
});
