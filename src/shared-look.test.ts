import test from 'ava';
import { shareLooks } from './shared-look.ts';

/** Looks that end when they are told to, each with its number. */
function looks() {
  const ends: ((failed?: Error) => void)[] = [];
  const look = () =>
    new Promise<number>((resolve, reject) => {
      const number = ends.length;
      ends.push((failed) => (failed === undefined ? resolve(number) : reject(failed)));
    });
  return { look, ends };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('who asks during a look gets one that began after', async (t) => {
  const { look, ends } = looks();
  const ask = shareLooks(look, () => 0);
  const first = ask();
  const others = [ask(), ask(), ask()];
  await turn();
  t.is(ends.length, 1);
  ends[0]?.();
  t.is(await first, 0);
  await turn();
  t.is(ends.length, 2);
  ends[1]?.();
  t.deepEqual(await Promise.all(others), [1, 1, 1]);
});

test('who asks while the next look is under way gets a third', async (t) => {
  const { look, ends } = looks();
  const ask = shareLooks(look, () => 0);
  const first = ask();
  const second = ask();
  ends[0]?.();
  await first;
  await turn();
  const third = ask();
  ends[1]?.();
  t.is(await second, 1);
  await turn();
  ends[2]?.();
  t.is(await third, 2);
});

test('a look that fails fails for those who asked before it, and for nobody else', async (t) => {
  const { look, ends } = looks();
  const ask = shareLooks(look, () => 60_000);
  const first = ask();
  const second = ask();
  ends[0]?.(new Error('no answer'));
  await t.throwsAsync(first, { message: 'no answer' });
  await turn();
  ends[1]?.();
  t.is(await second, 1);
  t.is(await ask(), 1, 'kept');
  t.is(ends.length, 2);
});

test('a look that is kept is renewed in time, and nobody waits for it', async (t) => {
  const { look, ends } = looks();
  let at = 0;
  const ask = shareLooks(
    look,
    () => 100,
    () => at,
  );
  const first = ask();
  ends[0]?.();
  t.is(await first, 0);
  at = 40;
  t.is(await ask(), 0);
  t.is(ends.length, 1);
  at = 60;
  t.deepEqual(await Promise.all([ask(), ask()]), [0, 0]);
  t.is(ends.length, 2, 'one of them has begun the next');
  ends[1]?.();
  await turn();
  t.is(await ask(), 1);
  at = 60 + 101;
  const late = ask();
  t.is(ends.length, 3, 'too old');
  ends[2]?.();
  t.is(await late, 2);
});
