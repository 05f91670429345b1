import test from 'ava';
import { parseDuration, parseRate } from './quantities.ts';

test('durations and rates as people write them', (t) => {
  const duration = (text: string) => parseDuration('--max-downtime', text);
  t.deepEqual(['250', '250ms', '1.5s', '2m'].map(duration), [250, 250, 1500, 120_000]);
  const rate = (text: string) => parseRate('--bandwidth', text);
  t.deepEqual(['1000', '4K', '100M', '1.5GiB/s', '1G/s'].map(rate), [1000, 4096, 104_857_600, 1_610_612_736, 2 ** 30]);
  for (const bad of ['', 'fast', '-1', '0', '1h', '1 s'])
    t.throws(() => duration(bad), { message: /--max-downtime .*such as/ });
  for (const bad of ['', 'fast', '-1', '0', '1T', '0.1'])
    t.throws(() => rate(bad), { message: /--bandwidth .*such as/ });
});
