import { getPriority, setPriority } from 'node:os';
import test from 'ava';
import { atNormalPriority } from './priority.ts';

test('what is started at normal priority does not take a raised one, and the raised one comes back', (t) => {
  const before = getPriority();
  setPriority(-5);
  t.teardown(() => setPriority(before));
  t.is(
    atNormalPriority(() => getPriority()),
    0,
  );
  t.is(getPriority(), -5);
  t.throws(() =>
    atNormalPriority(() => {
      throw new Error('cannot start');
    }),
  );
  t.is(getPriority(), -5);
});
