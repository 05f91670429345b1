import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { repeatLooks } from './repeat-looks.ts';

test('looks that take their time are made less often, and what is wanted soon does not wait for them', async (t) => {
  const stop = new AbortController();
  const looks: number[] = [];
  let underWay = 0;
  let tookMs = 0;
  const { soon } = repeatLooks(
    async () => {
      t.is(underWay++, 0, 'two at a time');
      looks.push(performance.now());
      await sleep(5);
      underWay--;
      return tookMs;
    },
    { leastMs: 10, pauseFactor: 1000 },
    stop.signal,
  );
  const until = async (count: number) => {
    while (looks.length < count) await sleep(2);
  };
  await until(3);
  // An hour from now.
  tookMs = 3600;
  await sleep(100);
  const rare = looks.length;
  await sleep(100);
  t.is(looks.length, rare);
  for (let more = 0; more < 3; more++) {
    const before = looks.length;
    soon();
    soon();
    await until(before + 1);
    await sleep(50);
    t.is(looks.length, before + 1);
  }
  // During a look.
  const before = looks.length;
  soon();
  await until(before + 1);
  soon();
  await until(before + 2);
  stop.abort();
  await sleep(50);
  soon();
  await sleep(50);
  t.is(looks.length, before + 2);
});
