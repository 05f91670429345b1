import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { z } from 'zod';
import { groupMemberSchema } from '../src/migration/group.ts';
import { parseAnswer } from './support/answers.ts';
import { groups, groupsAnswer, installIntoSlurm, showGroup, untilGroupEnded } from './support/evacuation.ts';
import { endedVerified, type Job, submitRun } from './support/job.ts';
import { containers, move, nodeOf, refusal } from './support/move.ts';
import { holdService, releaseService } from './support/service.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'evacuate');
const allreduce = '/opt/rankshift-tests/bin/allreduce --seconds 1200';
const root = { user: 'root' };
const holdDownMs = 20_000;
const planAnswer = z.object({ plan: z.array(groupMemberSchema), notes: z.array(z.string()) });

test.before(async () => {
  await installIntoSlurm(cluster(), { HoldDownMs: String(holdDownMs), ReturnOnResume: 'yes' });
});

test('a node is emptied and filled again by commands, and emptied by a drain in Slurm alone', async (t) => {
  const jobs: Job[] = [];
  for (let count = 0; count < 2; count += 1) jobs.push(await submitRun(cluster(), allreduce, { nodelist: 'n[1-2]' }));
  await until(
    'four containers run',
    async () => {
      const all = await containers(cluster(), 'root');
      return all.length === 4 && all.every(({ state }) => state === 'running');
    },
    { timeoutMs: 120_000, pollMs: 200 },
  );
  const places = () => Promise.all(jobs.map((job) => nodeOf(cluster(), job.container(1))));

  for (const [argv, code] of [
    [['evacuate', 'n[2'], 'E_BAD_INPUT'],
    [['evacuate', 'n[2,9]'], 'E_UNKNOWN_NODE'],
    [['evacuate', 'n2', '--to', 'n[2-3]'], 'E_BAD_INPUT'],
    // Its two CPUs are in use.
    [['evacuate', 'n2', '--to', 'n1'], 'E_REFUSED'],
  ] as const) {
    t.is((await refusal(cluster(), argv, root)).error.code, code, argv.join(' '));
  }
  t.is((await refusal(cluster(), ['evacuate', 'n2'])).error.code, 'E_NOT_PERMITTED');
  const { plan } = parseAnswer(planAnswer, await cluster().rankshift(['evacuate', 'n2', '--dry-run', '--json'], root));
  t.deepEqual(
    plan.map(({ from, to }) => [from, to]),
    [
      ['n2', 'n3'],
      ['n2', 'n3'],
    ],
  );
  t.deepEqual(await groups(cluster()), [], 'nothing of all that left a trace');

  const evacuate = async () => {
    const answer = await cluster().rankshift(['evacuate', 'n2', '--reason', 'disks', '--json'], root);
    const [group] = parseAnswer(groupsAnswer, answer).groups;
    if (group === undefined) throw new Error(answer.stdout);
    return group;
  };
  const first = await evacuate();
  const second = await evacuate();
  // Asked twice, done once: it joins, or finds nothing left to do where the first was that fast.
  t.true(second.id === first.id || second.members.length === 0, JSON.stringify([first, second]));
  const ended = await untilGroupEnded(cluster(), first.id);
  t.like(ended, { state: 'completed', nodes: ['n2'], reason: 'disks' }, JSON.stringify(ended));
  t.deepEqual(await places(), ['n3', 'n3']);

  const back = await cluster().rankshift(['return', 'n2', '--wait'], root);
  t.is(back.exitCode, 0, `${back.stdout}${back.stderr}`);
  t.deepEqual(await places(), ['n2', 'n2']);

  await cluster().output('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=DRAIN', 'Reason=maintenance']);
  const drained = await until(
    'the drain has emptied n2',
    async () => (await groups(cluster())).find(({ origin, state }) => origin !== 'command' && state !== 'active'),
    { timeoutMs: 120_000, pollMs: 200 },
  );
  t.like(drained, { kind: 'evacuation', state: 'completed', nodes: ['n2'] }, JSON.stringify(drained));
  t.deepEqual(await places(), ['n3', 'n3']);
  const { migrations } = await showGroup(cluster(), drained.id);
  t.deepEqual(
    migrations.map(({ state }) => state),
    ['completed', 'completed'],
  );
  for (const job of jobs) t.deepEqual(await job.finish(), endedVerified, job.all);
});

const setState = (state: string, node = 'n2') =>
  cluster().output('ctl', ['scontrol', 'update', `NodeName=${node}`, `State=${state}`, 'Reason=test']);

test('a node that flaps starts one thing in a hold-down, and what has left is home in the end', async (t) => {
  await setState('RESUME');
  const job = await submitRun(cluster(), allreduce, { nodelist: 'n[1-2]' });
  await job.untilPrinted(/progress/);
  // What the state of n2 has started before is a hold-down ago.
  await sleep(holdDownMs);
  const before = new Set((await groups(cluster())).map(({ id }) => id));
  const started = async () => (await groups(cluster())).filter(({ id }) => !before.has(id));
  const since = performance.now();
  while (performance.now() - since < 0.6 * holdDownMs) {
    await setState('DRAIN');
    await sleep(1000);
    await setState('RESUME');
    await sleep(1000);
  }
  await setState('DRAIN');
  const during = await started();
  t.true(during.length <= 1, JSON.stringify(during.map(({ kind, createdAt }) => [kind, createdAt])));
  await until('n2 is empty', async () => (await nodeOf(cluster(), job.container(1))) === 'n3', { timeoutMs: 120_000 });
  await setState('RESUME');
  await until('it is home', async () => (await nodeOf(cluster(), job.container(1))) === 'n2', { timeoutMs: 120_000 });
  const times = (await started()).map(({ createdAt }) => createdAt).toSorted((a, b) => a - b);
  for (const [index, at] of times.entries())
    if (index > 0) t.true(at - (times[index - 1] ?? 0) >= 0.95 * holdDownMs, `${times.join()}`);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('a node that goes down with its agent is reported as lost, and nothing of it is started elsewhere', async (t) => {
  // It may be in service already.
  await cluster().exec('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=RESUME']);
  const job = await submitRun(cluster(), allreduce, { nodelist: 'n[1-2]' });
  await job.untilPrinted(/progress/);
  // Of a node of the job Slurm would end the job itself.
  await move(cluster(), job.container(1), { to: 'n3' });
  const before = new Set((await groups(cluster())).map(({ id }) => id));
  await holdService(cluster(), 'n3', 'agent');
  await holdService(cluster(), 'n3', 'slurmd');
  try {
    await setState('DOWN', 'n3');
    const lost = await until(
      'it is reported',
      async () => (await groups(cluster())).find(({ id, nodes }) => !before.has(id) && nodes.includes('n3')),
      { timeoutMs: 120_000, pollMs: 200 },
    );
    t.regex(lost.reason, /^n3 is (down|not_responding).* in Slurm$/);
    t.like(lost.members[0], { container: job.container(1), from: 'n3', to: null, state: 'lost' });
    t.regex(lost.members[0]?.reasons[0]?.message ?? '', /not started anywhere else.*scancel/);
    const shown = await cluster().rankshift(['show', lost.id], root);
    t.regex(shown.stdout, /lost/, shown.stdout);
    t.is(await nodeOf(cluster(), job.container(1)), 'n3');
  } finally {
    await releaseService(cluster(), 'n3', 'slurmd');
    await releaseService(cluster(), 'n3', 'agent');
    await cluster().exec('ctl', ['scontrol', 'update', 'NodeName=n3', 'State=RESUME']);
  }
  await cluster().untilReady();
  // It ran all the while.
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('a node without its agent is drained by the health check of Slurm, and emptied when the agent is back', async (t) => {
  await cluster().exec('ctl', ['scontrol', 'update', 'NodeName=n[2-3]', 'State=RESUME']);
  for (const node of ['ctl', ...cluster().nodes])
    await cluster().output(node, ['tee', '-a', '/etc/slurm/slurm.conf'], { input: 'HealthCheckInterval=5\n' });
  await installIntoSlurm(cluster(), {}, ['--health-check']);
  const job = await submitRun(cluster(), allreduce, { nodelist: 'n[1-2]' });
  await job.untilPrinted(/progress/);
  const node = () => cluster().output('ctl', ['scontrol', 'show', 'node', 'n2']);
  await sleep(6000);
  t.notRegex(await node(), /DRAIN/, 'all is well');
  await holdService(cluster(), 'n2', 'agent');
  try {
    await until('n2 is drained', async () => /State=\S*DRAIN/.test(await node()), { timeoutMs: 60_000, pollMs: 500 });
    t.regex(await node(), /Reason=rankshift: the agent does not run/);
    t.is(await nodeOf(cluster(), job.container(1)), 'n2');
  } finally {
    await releaseService(cluster(), 'n2', 'agent');
  }
  await until('n2 is empty', async () => (await nodeOf(cluster(), job.container(1))) === 'n3', { timeoutMs: 120_000 });
  t.deepEqual(await job.finish(), endedVerified, job.all);
});
