import test from 'ava';
import { prepareWater, startWater, stopWater, waterProgress, waterResults } from './gromacs/water.ts';
import { moveInMidRun } from './support/mid-run.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'gromacs', { gromacs: true });

test('GROMACS water: every energy and every frame the same to the last bit with two moves in mid-run', async (t) => {
  await prepareWater(cluster());
  const submitted = performance.now();
  const moved = await startWater(cluster(), { nodes: 3 });
  await moved.untilPrinted(waterProgress, 1);
  const begun = performance.now();
  // The one that writes is rank 0: log, energies and trajectory are open in the user's home.
  await moveInMidRun(moved, 2, waterProgress, 'n1');
  await moveInMidRun(moved, 0, waterProgress, 'n2');
  const told = performance.now();
  await stopWater(cluster(), moved);
  // In good order, with the exit code that GROMACS has where a signal ended it.
  t.like(await moved.untilEnded(), { exitCode: 1, signal: 0 }, moved.all);
  const ended = performance.now();
  const results = waterResults(cluster(), moved.id);
  t.true(results.finished, moved.all);

  const unmoved = await startWater(cluster(), { nodes: 3 }, results.lastStep);
  t.like(await unmoved.untilEnded(300_000), { state: 'COMPLETED', exitCode: 0 }, unmoved.all);
  const expected = waterResults(cluster(), unmoved.id);
  t.is(expected.lastStep, results.lastStep);
  t.true(expected.trajectory.length > 100_000);
  t.true(results.energies.equals(expected.energies), 'energies differ');
  t.true(results.trajectory.equals(expected.trajectory), 'positions or velocities differ');

  // Its own account of the time (CLOCK_REALTIME) has room for what was seen of the run, and is within its whole.
  const seconds = (from: number, to: number) => (to - from) / 1000;
  t.true(results.wallSeconds > seconds(begun, told) - 1, `${results.wallSeconds} s, ${moved.all}`);
  t.true(results.wallSeconds < seconds(submitted, ended) + 1, `${results.wallSeconds} s, ${moved.all}`);
  t.log(`${results.lastStep} steps, ${results.wallSeconds} s by its own account`);
});
