import test from 'ava';
import { endedVerified, submit, submitRun } from './support/job.ts';
import { move } from './support/move.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'mpich');
const programs = '/opt/rankshift-tests/bin';

test('a job of MPICH moves under every strategy, also the container with mpiexec', async (t) => {
  const job = await submitRun(cluster(), `${programs}/allreduce --seconds 600`, {
    tasksPerNode: 2,
    run: '--image mpich',
  });
  await job.untilPrinted(/progress/);
  for (const strategy of ['pre-copy', 'stop-and-copy'] as const) {
    for (const index of [1, 0]) {
      const record = await move(cluster(), job.container(index), { strategy });
      t.is(record.plan?.strategy, strategy);
      const seen = job.lines(/progress/).length;
      await job.untilPrinted(/progress/, seen + 1, 90_000);
    }
  }
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('a kernel of NPB on MPICH verifies after moves of both its containers', async (t) => {
  const job = await submitRun(cluster(), `${programs}/cg W --seconds 600`, { run: '--image mpich --mpi mpich' });
  await job.untilPrinted(/^repeat 2$/);
  for (const index of [1, 0, 1]) await move(cluster(), job.container(index));
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('an MPI that does not exist, or that the image has not, is refused with the reason', async (t) => {
  const refusals: [string, RegExp, number][] = [
    ['--mpi lam', /--mpi lam: allowed is auto, openmpi or mpich/, 2],
    ['--image mpich --mpi openmpi', /the image mpich has no Open MPI in its PATH; it has MPICH \(--mpi mpich\)/, 3],
    ['--image mpi --mpi mpich', /the image mpi has no MPICH in its PATH; it has Open MPI \(--mpi openmpi\)/, 3],
  ];
  for (const [options, message, code] of refusals) {
    const job = await submit(cluster(), `rankshift run ${options} -- true`, { nodes: 1 });
    const end = await job.untilEnded();
    t.is(end.exitCode, code, options);
    t.regex(job.stderr, message);
  }
});
