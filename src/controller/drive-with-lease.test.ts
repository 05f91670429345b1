import test from 'ava';
import type { MigrationRecord } from '../migration/record.ts';
import type { ControllerContext } from './context.ts';
import { Driving } from './drive-with-lease.ts';

/** A controller with room for so many, each of which it drives until it is let go. */
function controller(movesAtOnce: number) {
  const held = new Map<string, () => void>();
  const begun: string[] = [];
  const stopping = new AbortController();
  const drive = (id: string) => {
    begun.push(id);
    return new Promise<void>((resolve) => held.set(id, resolve));
  };
  const driving = new Driving({ config: { movesAtOnce }, stopping: stopping.signal } as ControllerContext, drive);
  const letGo = async (id: string) => {
    held.get(id)?.();
    await settled();
  };
  return { driving, begun, letGo, stop: () => stopping.abort() };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const record = (id: string) => ({ id }) as MigrationRecord;

test('a controller drives so many at once, and those that came through the queue when there is room', async (t) => {
  const { driving, begun, letGo } = controller(2);
  driving.takeNow(record('1'));
  const [second, third, fourth] = ['2', '3', '4'].map((id) => driving.take(id));
  driving.takeNow(record('5'));
  await settled();
  t.deepEqual(begun, ['1', '2']);
  await letGo('1');
  t.deepEqual(begun, ['1', '2', '3']);
  await letGo('2');
  await second;
  t.deepEqual(begun, ['1', '2', '3', '4']);
  await Promise.all([letGo('3'), letGo('4'), third, fourth]);
  t.is(driving.ids.size, 0);
});

test('one that began at once is not begun again when its turn in the queue comes', async (t) => {
  const { driving, begun, letGo } = controller(2);
  driving.takeNow(record('1'));
  await driving.take('1');
  t.deepEqual(begun, ['1']);
  await letGo('1');
});

test('who waits for room and is driven meanwhile lets the next one have it', async (t) => {
  const { driving, begun, letGo } = controller(1);
  driving.takeNow(record('1'));
  const waiting = ['2', '3'].map((id) => driving.take(id));
  // Found by the look for orphans, for which there is always room.
  void driving.start('2');
  await letGo('1');
  await waiting[0];
  t.deepEqual(begun, ['1', '2']);
  await letGo('2');
  t.deepEqual(begun, ['1', '2', '3']);
  await letGo('3');
  await waiting[1];
});

test('a controller that stops begins nothing more', async (t) => {
  const { driving, begun, letGo, stop } = controller(1);
  driving.takeNow(record('1'));
  const waiting = driving.take('2');
  stop();
  await letGo('1');
  await waiting;
  driving.takeNow(record('3'));
  await driving.take('4');
  t.deepEqual(begun, ['1']);
});
