import test from 'ava';
import { Lane } from './faults/lane.ts';
import { point } from './faults/points.ts';
import { resources } from './faults/resources.ts';
import { endedVerified } from './support/job.ts';
import { useCluster } from './support/use-cluster.ts';

/** What a move needs and does not get: memory and space on its target, a CRIU that does its work. */
const cluster = useCluster(test, 'faults-resources', { stateSize: '640m' });

/** What goes wrong only where a peer sends just then. */
async function several<T>(count: number, act: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < count) all.push(await act());
  return all;
}

test('what runs out or fails on the way is quoted, the container runs on, and so does the job', async (t) => {
  t.timeout(300_000);
  const lane = await Lane.start(cluster());
  const rows = [
    {
      row: await lane.strike(resources.targetMemory, point('source-copying')),
      ...{ state: 'rolled-back', error: /^E_TARGET_FULL .*no space left on device/i },
    },
    {
      row: await lane.strike(resources.targetMemory, point('source-connect'), { strategy: 'stop-and-copy' }),
      ...{ state: 'rolled-back', error: /^E_TARGET_FULL .*no space left on device/i },
    },
    {
      row: await lane.strike(resources.targetDisk, point('source-before-freeze')),
      ...{ state: 'rolled-back', error: /^E_TARGET_FULL .*no space left on device/i },
    },
    {
      row: await lane.strike(resources.targetDisk, point('target-preparing')),
      ...{ state: 'rolled-back', error: /^E_TARGET_FULL .*no space left on device/i },
    },
    {
      row: await lane.strike(resources.sourceMemory, point('source-held')),
      ...{ state: 'rolled-back', error: /^E_CRIU CRIU could not dump the container: .*No space left on device/ },
    },
    {
      row: await lane.strike(resources.dumpFails, point('source-held')),
      ...{ state: 'rolled-back', error: /^E_CRIU CRIU could not dump the container: .*staged failure/ },
    },
    {
      row: await lane.strike(resources.restoreFails, point('target-received')),
      ...{ state: 'rolled-back', error: /^E_CRIU CRIU could not restore the container: ./ },
    },
    // Before the commit it has failed. After it the images are there: the container is restored once more.
    ...(await several(4, async () => ({
      row: await lane.strike(resources.criuKilledAtGate, point('target-gate')),
      ...{ state: 'rolled-back', error: /^E_CRIU CRIU could not restore the container: ./ },
    }))),
    ...(await several(4, async () => ({
      row: await lane.strike(resources.criuKilledAtGate, point('target-committed')),
      ...{ state: 'completed', error: /^$/ },
    }))),
  ];
  for (const { row } of rows) {
    const said = [row.error, ...row.lines].join(' | ');
    t.log(`${row.seconds.toFixed(1)} s ${row.fault} at ${row.point}: ${row.state} ${said} ${row.wrong.join('; ')}`);
  }
  for (const { row, state, error } of rows) {
    t.deepEqual(row.wrong, [], row.fault);
    t.is(row.state, state, row.fault);
    t.regex(row.error, error, row.fault);
  }
  const end = await lane.job.finish();
  t.deepEqual(end, endedVerified, lane.job.all.slice(-2000));
});
