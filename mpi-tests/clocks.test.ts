import test from 'ava';
import { nextGoodSample } from './support/drift.ts';
import { endedVerified, submitRun } from './support/job.ts';
import { move } from './support/move.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'clocks');
const drift = '/opt/rankshift-tests/bin/drift --seconds 1200 --interval-ms 20 --exchanges 100';

/** What the issue allows a move to change MPI_Wtime of the moved rank against its peers. */
const allowedNs = 1e6;
/** Samples that are used are right to within this, so that a change near the limit cannot hide in their error. */
const sampleErrorNs = 2e5;

/** CLOCK_BOOTTIME of a node in seconds, as its processes read it. */
async function uptime(node: string): Promise<number> {
  return Number((await cluster().output(node, ['cat', '/proc/uptime'])).split(' ')[0]);
}

test('the clocks of the nodes are hours apart', async (t) => {
  const times = await Promise.all(cluster().nodes.map(uptime));
  for (const [i, a] of times.entries()) {
    for (const b of times.slice(i + 1)) t.true(Math.abs(a - b) > 3600, `${a} s and ${b} s`);
  }
});

/**
 * Both MPIs, since only Open MPI reads the clock that is virtualised; the shim makes MPICH do so. The nodes of a testbed
 * share CLOCK_REALTIME, as namespaces do: that MPICH goes by the other clock is seen by what policy frozen does to it.
 */
for (const [image, title] of [
  ['mpi', 'Open MPI'],
  ['mpich', 'MPICH'],
]) {
  test(`${title}: MPI_Wtime of a rank runs on across each of ten moves`, async (t) => {
    const job = await submitRun(cluster(), drift, { run: `--image ${image}` });
    await job.untilPrinted(/"offsetNs"/, 5);
    const first = await nextGoodSample(job, 1, sampleErrorNs);
    let before = first;
    const changesUs: number[] = [];
    for (let i = 0; i < 10; i++) {
      const record = await move(cluster(), job.container(1), { to: i % 2 === 0 ? 'n3' : 'n2' });
      const after = await nextGoodSample(job, 1, sampleErrorNs);
      const changeNs = after.offsetNs - before.offsetNs;
      changesUs.push(Math.round(changeNs / 1000));
      t.true(Math.abs(changeNs) < allowedNs, `move ${i + 1}: MPI_Wtime changed by ${changeNs} ns`);
      // The bound that the record gives is honest.
      const clock = record.result?.clock;
      const boundNs = Number(clock?.errorBoundNs) + before.errorNs + after.errorNs;
      t.true(Math.abs(changeNs) <= boundNs + 50_000, `move ${i + 1}: ${changeNs} ns, bound ${boundNs} ns`);
      t.is(clock?.policy, 'continuous');
      // The nodes' clocks are hours apart: without a correction the rank would be off by that.
      t.true(Math.abs(Number(clock?.nodeOffsetNs)) > 3600e9, clock?.nodeOffsetNs);
      t.true(Math.abs(clock?.correctedMs ?? 0) > 3600e3, `${clock?.correctedMs} ms`);
      before = after;
    }
    const median = changesUs.map(Math.abs).sort((a, b) => a - b)[5] ?? Number.NaN;
    t.log(
      `median ${median} us; changes: ${changesUs.join(' ')}; over all: ${Math.round((before.offsetNs - first.offsetNs) / 1000)}`,
    );
    t.deepEqual(await job.finish(), endedVerified, job.stderr);
  });

  test(`${title}: MPI_Wtime of rank 0 runs on too, and policy frozen sets a rank back by what it was stopped`, async (t) => {
    const job = await submitRun(cluster(), drift, { run: `--image ${image}` });
    await job.untilPrinted(/"offsetNs"/, 5);
    const start = await nextGoodSample(job, 1, sampleErrorNs);
    await move(cluster(), job.container(0), { to: 'n3' });
    const before = await nextGoodSample(job, 1, sampleErrorNs);
    t.true(Math.abs(before.offsetNs - start.offsetNs) < allowedNs, `${before.offsetNs - start.offsetNs} ns`);

    const record = await move(cluster(), job.container(1), { to: 'n1', clock: 'frozen' });
    const after = await nextGoodSample(job, 1, sampleErrorNs);
    const behindMs = (before.offsetNs - after.offsetNs) / 1e6;
    const { clock, downtimeMs } = record.result ?? {};
    t.is(clock?.policy, 'frozen');
    // The container had no offset of its own against its first node, so what was hidden is in the record.
    const hiddenMs = -(Number(clock?.namespaceOffsetNs) + Number(clock?.nodeOffsetNs)) / 1e6;
    t.log(`downtime ${downtimeMs} ms, hidden ${hiddenMs} ms, behind ${behindMs} ms`);
    t.true(Math.abs(behindMs - hiddenMs) < allowedNs / 1e6, `behind ${behindMs} ms, recorded ${hiddenMs} ms`);
    t.true(behindMs > 0.3 * (downtimeMs ?? 0), `behind ${behindMs} ms, downtime ${downtimeMs} ms`);
    t.true(behindMs <= (downtimeMs ?? 0) + 1, `behind ${behindMs} ms, downtime ${downtimeMs} ms`);

    // A further move under the default policy leaves the rank where it is: the set-back stays, and nothing is added.
    await move(cluster(), job.container(1), { to: 'n2' });
    const last = await nextGoodSample(job, 1, sampleErrorNs);
    t.true(Math.abs(last.offsetNs - after.offsetNs) < allowedNs, `${last.offsetNs - after.offsetNs} ns`);
    t.deepEqual(await job.finish(), endedVerified, job.stderr);
  });
}
