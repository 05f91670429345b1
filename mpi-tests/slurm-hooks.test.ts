import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import test from 'ava';
import { submit, submitRun } from './support/job.ts';
import { containers } from './support/move.ts';
import { holdService, killService, releaseService, whileDown } from './support/service.ts';
import { until } from './support/until.ts';
import { untilNothingIsLeft, useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'hooks');
const spool = '/var/lib/rankshift/spool/hooks';
const allreduce = '/opt/rankshift-tests/bin/allreduce --seconds 1200';

/** Notes that wait for the agent of a node: `prolog-7`, ... */
function notes(node: string): string[] {
  const names = readdirSync(cluster().testbed.path(node, spool)).filter((name) => name.endsWith('.json'));
  return names.map((name) => name.replace(/-\d+\.json$/, '')).sort();
}

async function nodeStates(): Promise<string[]> {
  const text = await cluster().output('ctl', ['sinfo', '--noheader', '--Node', '--format=%T']);
  return text.split('\n');
}

async function allIdle(): Promise<void> {
  await until('all nodes are idle', async () => (await nodeStates()).every((state) => state === 'idle'));
}

test('notes are left on every node of a job, and read by the agents', async (t) => {
  await Promise.all(cluster().nodes.map((node) => holdService(cluster(), node, 'agent')));
  try {
    const job = await submit(cluster(), 'echo done', { nodes: 3 });
    t.like(await job.untilEnded(), { state: 'COMPLETED', exitCode: 0 });
    await allIdle();
    for (const node of cluster().nodes) t.deepEqual(notes(node), [`epilog-${job.id}`, `prolog-${job.id}`], node);
  } finally {
    await Promise.all(cluster().nodes.map((node) => releaseService(cluster(), node, 'agent')));
  }
  await until('the notes are read', () => cluster().nodes.every((node) => notes(node).length === 0));
  await cluster().untilReady();
});

test('what a job leaves while the agents are away is removed when they are back', async (t) => {
  const job = await submitRun(cluster(), allreduce);
  await job.untilPrinted(/progress/);
  for (const node of ['n1', 'n2']) await holdService(cluster(), node, 'agent');
  try {
    // Its service cannot be told either: the containers stay behind.
    await whileDown(cluster(), 'ctl', 'controller', async () => {
      await cluster().output('login', ['scancel', '--full', '--signal=KILL', String(job.id)], { user: 'alice' });
      await job.untilEnded();
      await allIdle();
    });
    t.true(notes('n1').includes(`epilog-${job.id}`));
    const ranks = await cluster().exec('n2', ['pgrep', '-x', 'allreduce']);
    t.is(ranks.exitCode, 0, 'nothing was left to remove');
  } finally {
    for (const node of ['n1', 'n2']) await releaseService(cluster(), node, 'agent');
  }
  t.deepEqual(await untilNothingIsLeft(cluster()), []);
  t.deepEqual(await containers(cluster(), 'root'), []);
  t.deepEqual(notes('n1'), []);
  await cluster().untilReady();
});

test('a job that is requeued while an agent is away: what comes back with that agent is not taken for the new run', async (t) => {
  const job = await submitRun(cluster(), allreduce, { sbatch: ['--requeue'] });
  await job.untilPrinted(/progress/);
  const places = async () =>
    (await containers(cluster(), 'root')).map(({ id, owner, state }) => `${id} ${owner} ${state}`).join(', ');
  t.is(await places(), `${job.container(0)} n1 running, ${job.container(1)} n2 running`);
  const left = () => existsSync(cluster().testbed.path('n2', `/var/lib/rankshift/containers/${job.container(1)}`));
  await holdService(cluster(), 'n2', 'agent');
  try {
    await cluster().output('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=DRAIN', 'Reason=test']);
    await cluster().output('ctl', ['scontrol', 'requeue', String(job.id)]);
    const anew = `${job.container(0)} n1 running, ${job.container(1)} n3 running`;
    await until('it runs elsewhere', async () => (await places()) === anew, { timeoutMs: 180_000 });
    t.true(left(), 'nothing of the first run is left to be taken for the second');
  } finally {
    await releaseService(cluster(), 'n2', 'agent');
    await cluster().exec('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=RESUME']);
  }
  await until('the first run is gone from n2', () => !left(), { timeoutMs: 60_000 });
  await cluster().untilReady();
  t.like(await job.finish(), { state: 'COMPLETED', exitCode: 0 }, job.all);
});

test('neither a service that is down nor a spool that is missing fails a job or drains a node', async (t) => {
  const moved = cluster().nodes.map((node) => cluster().testbed.path(node, '/var/lib/rankshift/spool'));
  for (const node of cluster().nodes) await holdService(cluster(), node, 'agent');
  await holdService(cluster(), 'ctl', 'controller');
  await holdService(cluster(), 'ctl', 'redis');
  for (const path of moved) renameSync(path, `${path}.away`);
  try {
    for (let i = 0; i < 2; i++) {
      const job = await submit(cluster(), 'echo done', { nodes: 3 });
      t.like(await job.untilEnded(), { state: 'COMPLETED', exitCode: 0 });
      t.is(job.stdout, 'done\n');
    }
    await allIdle();
  } finally {
    await releaseService(cluster(), 'ctl', 'redis');
    await releaseService(cluster(), 'ctl', 'controller');
    for (const node of cluster().nodes) await releaseService(cluster(), node, 'agent');
  }
  // The agents make a spool of their own again.
  await cluster().untilReady();
  for (const node of cluster().nodes) mkdirSync(cluster().testbed.path(node, spool), { recursive: true });
  const job = await submitRun(cluster(), 'true');
  t.like(await job.untilEnded(), { state: 'COMPLETED', exitCode: 0 }, job.all);
});

test('a hook takes less than 100 ms of its own, and always ends with 0', async (t) => {
  const environment = [
    ...['SLURM_JOB_ID=99999999', 'SLURM_JOB_UID=1000', 'SLURM_JOB_USER=alice', 'SLURM_JOB_NODELIST=n[1-3]'],
    ...['SLURMD_NODENAME=n1', 'SLURM_CLUSTER_NAME=test'],
  ].join(' ');
  for (const event of ['prolog', 'epilog']) {
    for (const [what, variables] of [
      ['as slurmd calls it', environment],
      ['without any environment', ''],
    ]) {
      const hook = `/usr/bin/env -i ${variables} /etc/slurm/${event}.d/50-rankshift.sh`;
      // User and system time of ten calls: what the machine does besides does not count.
      const script = `TIMEFORMAT='%U %S'; time for i in 1 2 3 4 5 6 7 8 9 10; do ${hook} || exit 9; done`;
      const { exitCode, stderr } = await cluster().exec('n1', ['/bin/bash', '-c', script]);
      t.is(exitCode, 0, `${event} ${what}: ${stderr}`);
      const [user, system] = stderr.trim().split(' ').map(Number);
      const eachMs = (((user ?? Number.NaN) + (system ?? Number.NaN)) * 1000) / 10;
      t.true(eachMs < 1000, `${event} ${what}: ${eachMs} ms`);
      t.log(`${event} ${what}: ${eachMs.toFixed(1)} ms of processor time`);
    }
  }
});

test('a node that fails under a job: what the job had is removed everywhere', async (t) => {
  const job = await submitRun(cluster(), allreduce, { sbatch: ['--no-requeue'] });
  await job.untilPrinted(/progress/);
  await holdService(cluster(), 'n2', 'slurmd');
  try {
    await cluster().output('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=DOWN', 'Reason=test']);
    t.is((await job.untilEnded(90_000)).state, 'NODE_FAIL');
    t.deepEqual(await untilNothingIsLeft(cluster()), []);
    t.deepEqual(await containers(cluster(), 'root'), []);
  } finally {
    await releaseService(cluster(), 'n2', 'slurmd');
    await allIdle();
  }
});

test('a controller that is killed just before the end of a job learns of it from the epilog', async (t) => {
  const job = await submitRun(cluster(), allreduce);
  await job.untilPrinted(/progress/);
  await killService(cluster(), 'ctl', 'controller');
  await cluster().output('login', ['scancel', '--full', '--signal=KILL', String(job.id)], { user: 'alice' });
  await job.untilEnded();
  t.deepEqual(await untilNothingIsLeft(cluster()), []);
  await cluster().untilReady();
});
