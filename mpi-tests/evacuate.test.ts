import test from 'ava';
import { z } from 'zod';
import { groupMemberSchema } from '../src/migration/group.ts';
import { parseAnswer } from './support/answers.ts';
import { groups, groupsAnswer, installIntoSlurm, showGroup, untilGroupEnded } from './support/evacuation.ts';
import { endedVerified, type Job, submitRun } from './support/job.ts';
import { containers, nodeOf, refusal } from './support/move.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'evacuate');
const allreduce = '/opt/rankshift-tests/bin/allreduce --seconds 300';
const root = { user: 'root' };
const planAnswer = z.object({ plan: z.array(groupMemberSchema), notes: z.array(z.string()) });

test('a node is emptied and filled again by commands, and emptied by a drain in Slurm alone', async (t) => {
  await installIntoSlurm(cluster(), {});
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
