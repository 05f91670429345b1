import test from 'ava';
import { jobField, nodesOf, queued, shadows, untilNothingIsHeld } from './support/allocation.ts';
import { groups, untilGroupEnded } from './support/evacuation.ts';
import { endedVerified, type Job, submit, submitRun } from './support/job.ts';
import { containers, move, request, tryMove, untilState } from './support/move.ts';
import {
  clearBreakpoint,
  holdService,
  killService,
  releaseService,
  setBreakpoint,
  untilHit,
} from './support/service.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'allocation', { config: { AllocationFollow: 'shadow', AllocationWaitMs: '5000' } });
const allreduce = '/opt/rankshift-tests/bin/allreduce --seconds 1200';

async function running(sbatch: string[] = ['--comment=mine --time=30']): Promise<Job> {
  const job = await submitRun(cluster(), allreduce, { nodelist: 'n[1-2]', sbatch });
  await job.untilPrinted(/progress/);
  return job;
}

async function update(...changes: string[]): Promise<void> {
  await cluster().output('ctl', ['scontrol', 'update', ...changes]);
}

test.afterEach.always('nothing is held for a job that is over', async (t) => {
  await cluster().exec('ctl', ['scancel', '--name=rankshift-shadow', '--state=PENDING']);
  await t.notThrowsAsync(untilNothingIsHeld(cluster()));
});

test('a container that moves takes its part of the job along, and home again', async (t) => {
  const job = await running();
  const plan = await cluster().rankshift(['plan', job.container(1), '--to', 'n3']);
  t.regex(plan.stdout, /slurm +n3 is held by a job of its own for alice \(1 processor\)/, plan.stdout);
  t.regex(plan.stdout, new RegExp(`slurm +n2 leaves job ${job.id}`));
  t.deepEqual(await shadows(cluster()), [], 'a plan changes nothing');

  const { allocation } = await move(cluster(), job.container(1), { to: 'n3' });
  const [shadow, ...more] = await shadows(cluster());
  t.like(shadow, { user: 'alice', state: 'RUNNING', nodes: 'n3', limit: '30:00', cpus: 1 });
  t.deepEqual(more, []);
  t.is(await nodesOf(cluster(), job.id), 'n1');
  t.deepEqual(allocation, [`n3 is held by job ${shadow?.id} for ${job.container(1)}`, `n2 has left job ${job.id}`]);
  t.is(await jobField(cluster(), job.id, 'AdminComment'), `rankshift: ${job.container(1)} on n3 (job ${shadow?.id})`);
  t.is(await jobField(cluster(), job.id, 'Comment'), 'mine');

  await update(`JobId=${job.id}`, 'TimeLimit=45');
  await cluster().exec('ctl', ['scancel', String(shadow?.id)]);
  // A look at the start finds both.
  await killService(cluster(), 'ctl', 'controller');
  const again = await until('n3 is held again', async () =>
    (await shadows(cluster())).find(({ id, state }) => id !== shadow?.id && state === 'RUNNING'),
  );
  t.like(again, { nodes: 'n3', limit: '45:00' });
  await cluster().untilReady();

  await move(cluster(), job.container(1), { to: 'n1' });
  t.deepEqual(await shadows(cluster()), [], 'n1 belongs to the job');
  t.is(await jobField(cluster(), job.id, 'AdminComment'), '');
  t.like(await job.finish(), endedVerified);
});

test('the host of the script stays in the job, empty of ranks; the next run starts where the ranks are', async (t) => {
  const run = `rankshift run -- ${allreduce}`;
  const job = await submit(cluster(), `trap '' USR1; ${run}; echo second; ${run}`, { nodelist: 'n[1-2]' });
  await job.untilPrinted(/progress/);
  const { allocation } = await move(cluster(), job.container(0), { to: 'n3' });
  t.is(await nodesOf(cluster(), job.id), 'n[1-2]');
  t.is(allocation.at(-1), `n1 stays in job ${job.id}, empty of ranks: the job's script runs there`);
  t.regex(await jobField(cluster(), job.id, 'AdminComment'), /on n3 \(job \d+\), n1 has no ranks$/);
  await cluster().output('n1', ['pkill', '-USR1', '-f', 'cli/main.js run']);
  await job.untilPrinted(/second/);
  const owners = await until('the second run runs', async () => {
    const now = await containers(cluster());
    return (
      now.length === 2 &&
      now.every(({ state, moves }) => state === 'running' && moves === 0) &&
      now.map(({ owner }) => owner)
    );
  });
  t.deepEqual(owners, ['n3', 'n2']);
  t.is((await shadows(cluster())).length, 1);
  await cluster().exec('ctl', ['scancel', String(job.id)]);
  await untilNothingIsHeld(cluster());
});

test('a target that Slurm cannot give refuses the move, and nothing changes', async (t) => {
  const job = await running();
  const other = await cluster().output(
    'login',
    ['sbatch', '--parsable', '-w', 'n3', '-c2', '-t5', '--wrap=sleep 200'],
    {
      user: 'bob',
    },
  );
  await until('n3 is full', async () => (await nodesOf(cluster(), Number(other))) === 'n3');
  const { exitCode, record } = await tryMove(cluster(), job.container(1), { to: 'n3' });
  t.is(exitCode, 3);
  t.deepEqual(
    record.plan?.reasons.map(({ code }) => code),
    ['target-allocation'],
  );
  t.is(await nodesOf(cluster(), job.id), 'n[1-2]');
  t.deepEqual(await shadows(cluster()), []);
  await cluster().exec('ctl', ['scancel', other]);
  t.like(await job.finish(), endedVerified);
});

test('a move that is rolled back gives its target back', async (t) => {
  const job = await running();
  setBreakpoint(cluster(), 'n2', 'source-before-freeze');
  const { id } = await request(cluster(), job.container(1), { to: 'n3' });
  await untilHit(cluster(), 'n2', 'source-before-freeze');
  t.is((await shadows(cluster())).length, 1, 'it is held before the freeze');
  await cluster().rankshift(['cancel', id]);
  clearBreakpoint(cluster(), 'n2', 'source-before-freeze');
  await untilState(cluster(), id, ['cancelled', 'rolled-back']);
  await until('the shadow has ended', async () => (await shadows(cluster())).length === 0);
  t.is(await nodesOf(cluster(), job.id), 'n[1-2]');
  t.like(await job.finish(), endedVerified);
});

test('a controller that dies when it has asked leaves nothing behind, though the job ends meanwhile', async (t) => {
  const job = await running();
  setBreakpoint(cluster(), 'ctl', 'controller-held');
  await request(cluster(), job.container(1), { to: 'n3' });
  await untilHit(cluster(), 'ctl', 'controller-held');
  t.is((await shadows(cluster())).length, 1);
  await holdService(cluster(), 'ctl', 'controller');
  clearBreakpoint(cluster(), 'ctl', 'controller-held');
  await cluster().exec('ctl', ['scancel', String(job.id)]);
  // As it would be had it died before it could write down which one.
  const stray = ['--no-shell', '-w', 'n3', '--job-name=rankshift-shadow'];
  const comment = `--comment=rankshift: shadow of ${job.container(0)} for move 999`;
  await cluster().output('login', ['salloc', ...stray, comment], { user: 'alice' });
  await job.untilEnded();
  await releaseService(cluster(), 'ctl', 'controller');
  await untilNothingIsHeld(cluster());
  t.pass();
});

test('Slurm away in the middle of a move: the move goes on, the allocation follows when Slurm is back', async (t) => {
  const job = await running();
  setBreakpoint(cluster(), 'n2', 'source-before-freeze');
  const { id } = await request(cluster(), job.container(1), { to: 'n3' });
  await untilHit(cluster(), 'n2', 'source-before-freeze');
  // In good order: killed, it forgets jobs of the last seconds.
  await holdService(cluster(), 'ctl', 'slurmctld', 'TERM');
  clearBreakpoint(cluster(), 'n2', 'source-before-freeze');
  const record = await untilState(cluster(), id, ['completed', 'rolled-back', 'needs-operator']);
  t.is(record.state, 'completed');
  t.regex(record.allocation.join(), /settled later/);
  await releaseService(cluster(), 'ctl', 'slurmctld');
  await until('n2 has left the job', async () => (await nodesOf(cluster(), job.id)) === 'n1', { timeoutMs: 120_000 });
  t.like((await shadows(cluster()))[0], { nodes: 'n3', state: 'RUNNING' });
  t.like(await job.finish(), endedVerified);
});

test('Slurm away for more than a minute: the job runs on, an evacuation waits and goes on', async (t) => {
  const job = await running();
  // In good order: killed, it forgets jobs of the last seconds.
  await holdService(cluster(), 'ctl', 'slurmctld', 'TERM');
  const since = performance.now();
  const asked = await cluster().rankshift(['evacuate', 'n2', '--to', 'n3', '--json'], { user: 'root' });
  t.is(asked.exitCode, 0, asked.stderr);
  // As long as scontrol needs to say that it knows no job, and everybody who looks has heard it.
  await until('slurmctld was away for long', () => performance.now() - since > 70_000, { timeoutMs: 120_000 });
  t.is((await groups(cluster()))[0]?.state, 'active');
  t.deepEqual(
    (await containers(cluster(), 'root')).map(({ id, state, owner }) => [id, state, owner]),
    [
      [job.container(0), 'running', 'n1'],
      [job.container(1), 'running', 'n2'],
    ],
  );
  await releaseService(cluster(), 'ctl', 'slurmctld');
  const ended = await untilGroupEnded(cluster(), 'e1', 240_000);
  t.is(ended.state, 'completed', JSON.stringify(ended));
  t.like((await shadows(cluster()))[0], { nodes: 'n3', state: 'RUNNING' });
  t.is(await nodesOf(cluster(), job.id), 'n1');
  t.like(await job.finish(), endedVerified);
});

test('a job that is requeued begins anew without what was held for it', async (t) => {
  const job = await running(['--requeue']);
  await move(cluster(), job.container(1), { to: 'n3' });
  t.is((await shadows(cluster())).length, 1);
  await cluster().output('ctl', ['scontrol', 'requeue', String(job.id)]);
  await until('the shadow has ended', async () => (await shadows(cluster())).length === 0, { timeoutMs: 120_000 });
  await cluster().exec('ctl', ['scancel', String(job.id)]);
  await until('the job is gone', async () => (await queued(cluster())).length === 0);
});

test('merge: the target becomes a node of the job itself', async (t) => {
  const file = '/etc/rankshift/rankshift.conf';
  const follow = async (value: string) => {
    await cluster().output('ctl', ['sed', '-i', `s/^AllocationFollow=.*/AllocationFollow=${value}/`, file]);
    await killService(cluster(), 'ctl', 'controller');
    await cluster().untilReady();
  };
  await follow('merge');
  try {
    const job = await running();
    await move(cluster(), job.container(1), { to: 'n3' });
    t.is(await nodesOf(cluster(), job.id), 'n[1,3]');
    t.deepEqual(await shadows(cluster()), []);
    t.like(await job.finish(), endedVerified);
  } finally {
    await follow('shadow');
  }
});
