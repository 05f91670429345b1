import test from 'ava';
import { Average, Rate } from './average.ts';

test('an average follows, and what is old fades', (t) => {
  const average = new Average(8000);
  t.is(average.add(1, 0), 1);
  const after = average.add(0, 8000);
  t.true(Math.abs(after - Math.exp(-1)) < 1e-9);
  t.true(average.add(0, 80_000) < 0.001);
});

test('a rate of a counter, which may begin anew', (t) => {
  const rate = new Rate(1000);
  t.is(rate.add(5_000_000, 0), 0);
  t.is(rate.add(5_500_000, 1000), 0.5);
  t.true(rate.add(0, 2000) < 0.5);
  t.true(Math.abs(rate.add(1_000_000, 3000) - 0.7) < 0.2);
});
