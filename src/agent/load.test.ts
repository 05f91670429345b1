import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ContainerMeter } from './load.ts';

const stat = (usage: number, throttled: number) =>
  `usage_usec ${usage}\nuser_usec ${usage}\nsystem_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec ${throttled}\n`;
const pressure = (some: number, full: number) =>
  `some avg10=12.00 avg60=1.00 avg300=0.00 total=${some}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=${full}\n`;

test('processors, share held up and share throttled of a container, of its cgroup', async (t) => {
  const cgroup = await mkdtemp(join(tmpdir(), 'rankshift-load-'));
  t.teardown(() => rm(cgroup, { recursive: true }));
  const meter = new ContainerMeter();
  const look = async (at: number, figures: { used: number; throttled: number; some: number; full: number }) => {
    await writeFile(join(cgroup, 'cpu.stat'), stat(figures.used, figures.throttled));
    await writeFile(join(cgroup, 'cpu.pressure'), pressure(figures.some, figures.full));
    return await meter.look(cgroup, cgroup, at);
  };
  t.deepEqual(await look(0, { used: 5_000_000, throttled: 0, some: 1_000_000, full: 0 }), [0, 0, 0, null]);
  // In one second: 1.5 processors, one of its tasks waited for 0.8 s, all of them for 0.2 s, its limit held it for 0.1 s.
  const second = { used: 6_500_000, throttled: 100_000, some: 1_800_000, full: 200_000 };
  t.deepEqual(await look(1000, second), [1.5, 0.5, 0.1, null]);
  // A kernel without PSI, a container that is gone: nothing is held up.
  await rm(join(cgroup, 'cpu.pressure'));
  await rm(join(cgroup, 'cpu.stat'));
  const later = await meter.look(cgroup, cgroup, 100_000);
  t.true(
    later.every((share) => share === null || share < 0.01),
    later.join(),
  );
});
