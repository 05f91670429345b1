import test from 'ava';
import { endedVerified, submitRun } from './support/job.ts';
import { move, request, untilState } from './support/move.ts';
import { clearBreakpoint, killService, setBreakpoint, untilHit } from './support/service.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'quiesce');
const allreduce = '/opt/rankshift-tests/bin/allreduce --seconds 1200';
const mpi = { more: ['--quiesce', 'mpi'] };

for (const image of ['mpi', 'mpich']) {
  test(`ranks of ${image} park before they move, two of one container that wait for each other too`, async (t) => {
    const job = await submitRun(cluster(), allreduce, { tasksPerNode: 2, run: `--image ${image}` });
    await job.untilPrinted(/progress/);
    for (const index of [1, 0]) {
      const record = await move(cluster(), job.container(index), mpi);
      const { quiesce } = record.result ?? {};
      t.log(`container ${index}: ${JSON.stringify(quiesce)}`);
      t.is(quiesce?.inside, 0);
      t.is((quiesce?.parked ?? 0) + (quiesce?.outside ?? 0), 2);
      const seen = job.lines(/progress/).length;
      await job.untilPrinted(/progress/, seen + 1, 90_000);
    }
    t.deepEqual(await job.finish(), endedVerified, job.all);
  });
}

test('programs that never call MPI are not waited for', async (t) => {
  const job = await submitRun(cluster(), '/bin/sh -c "echo up; sleep 25; echo done"');
  await job.untilPrinted(/up/, 2);
  const { result } = await move(cluster(), job.container(1), mpi);
  t.like(result?.quiesce, { parked: 0, inside: 0, outside: 0 });
  t.true((result?.quiesce?.waitedMs ?? Number.NaN) < 2000);
  t.is((await job.untilEnded()).exitCode, 0);
});

test('a rank that waits inside of a call beyond the deadline moves all the same, and the record says so', async (t) => {
  const job = await submitRun(cluster(), allreduce);
  await job.untilPrinted(/progress/);
  await cluster().output('n1', ['pkill', '-STOP', '-x', 'allreduce']);
  const { result } = await move(cluster(), job.container(1), mpi);
  await cluster().output('n1', ['pkill', '-CONT', '-x', 'allreduce']);
  t.like(result?.quiesce, { parked: 0, inside: 1, outside: 0 });
  t.true((result?.quiesce?.waitedMs ?? 0) >= 2000);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('ranks whose agent dies while they are parked go on, and move later', async (t) => {
  const job = await submitRun(cluster(), allreduce);
  await job.untilPrinted(/progress/);
  setBreakpoint(cluster(), 'n2', 'source-parked');
  const { id } = await request(cluster(), job.container(1), mpi);
  await untilHit(cluster(), 'n2', 'source-parked');
  const parked = job.lines(/progress/).length;
  await killService(cluster(), 'n2', 'agent');
  clearBreakpoint(cluster(), 'n2', 'source-parked');
  await job.untilPrinted(/progress/, parked + 3, 20_000);
  await untilState(cluster(), id, ['rolled-back', 'completed']);
  t.is((await move(cluster(), job.container(1), mpi)).result?.quiesce?.inside, 0);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});
