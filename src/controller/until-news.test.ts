import test from 'ava';
import { untilNews, waitSchema } from './until-news.ts';

const never = new AbortController().signal;

test('news is told at once, and as it is then', async (t) => {
  let looks = 0;
  const look = async () => ++looks;
  t.is(await untilNews(look, (seen) => seen === 1, 10_000, [never]), 1);
  t.is(await untilNews(look, (seen) => seen === 3, 10_000, [never]), 3);
});

test('without waiting it looks once; after the time it tells what there is', async (t) => {
  let looks = 0;
  const look = async () => ++looks;
  t.is(await untilNews(look, () => false, 0, [never]), 1);
  const last = await untilNews(look, () => false, 150, [never]);
  t.true(last > 2);
  t.is(last, looks);
});

test('a client that has gone and a controller that stops are not waited for', async (t) => {
  const gone = new AbortController();
  setTimeout(() => gone.abort(), 20);
  t.is(
    await untilNews(
      async () => 'same',
      () => false,
      600_000,
      [never, gone.signal],
    ),
    'same',
  );
});

test('a wait is some seconds at most', (t) => {
  t.is(waitSchema.parse(undefined), 0);
  t.is(waitSchema.parse('1000'), 1000);
  for (const wrong of ['-1', '1.5', '10001', 'x']) t.false(waitSchema.safeParse(wrong).success);
});
