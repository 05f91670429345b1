import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { thermo } from './lammps/thermo.ts';
import { submitRun } from './support/job.ts';
import { moveInMidRun } from './support/mid-run.ts';
import { repeatsOf } from './support/repeats.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'proof');
const programs = '/opt/rankshift-tests/bin';

for (const { kernel, size, ranks } of [
  { kernel: 'ep', size: 'W', ranks: 3 },
  { kernel: 'is', size: 'A', ranks: 3 },
  { kernel: 'cg', size: 'A', ranks: 3 },
  { kernel: 'mg', size: 'W', ranks: 3 },
  { kernel: 'ft', size: 'W', ranks: 3 },
]) {
  test(`${kernel.toUpperCase()} class ${size}: verified, and bit for bit the same with two moves in mid-run`, async (t) => {
    const unmoved = await submitRun(cluster(), `${programs}/${kernel} ${size}`, { nodes: ranks });
    t.like(await unmoved.untilEnded(), { state: 'COMPLETED', exitCode: 0 }, unmoved.all);
    const [expected = ''] = repeatsOf(unmoved);
    t.regex(expected, /^value /);

    const job = await submitRun(cluster(), `${programs}/${kernel} ${size} --seconds 600`, { nodes: ranks });
    await moveInMidRun(job, 1, /^iteration /, 'n3');
    await moveInMidRun(job, 0, /^iteration /, 'n2');
    const end = await job.finish();
    t.deepEqual(end, { state: 'COMPLETED', exitCode: 0, signal: 0, verified: 1 }, job.all);
    t.notRegex(job.stdout, /mismatch/);
    const results = repeatsOf(job);
    t.deepEqual(
      results,
      results.map(() => expected),
    );
    t.log(`${results.length} repeats, ${expected.split('\n').length} values each`);
  });
}

test('LAMMPS melt: every thermo line the same with two moves in mid-run', async (t) => {
  const home = join(cluster().testbed.paths.homeDir, 'alice');
  copyFileSync(join(import.meta.dirname, 'lammps', 'in.melt'), join(home, 'in.melt'));
  const melt = 'lmp -in in.melt -log none -var cells 10 -var every 20 -var steps';
  const moved = await submitRun(cluster(), `${melt} 6000`, { nodes: 3 });
  await moveInMidRun(moved, 2, /^ +\d+ +\d/, 'n1');
  await moveInMidRun(moved, 0, /^ +\d+ +\d/, 'n2');
  t.like(await moved.untilEnded(), { state: 'COMPLETED', exitCode: 0 }, moved.all);
  const unmoved = await submitRun(cluster(), `${melt} 6000`, { nodes: 3 });
  t.like(await unmoved.untilEnded(), { state: 'COMPLETED', exitCode: 0 }, unmoved.all);
  const expected = thermo(unmoved.stdout);
  t.is(expected.length, 6000 / 20 + 1);
  t.deepEqual(thermo(moved.stdout), expected);
});
