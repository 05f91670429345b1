import test from 'ava';
import { jobField, nodesOf, shadows, untilNothingIsHeld } from './support/allocation.ts';
import { endedVerified, submitRun } from './support/job.ts';
import { move } from './support/move.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'strict', { profile: 'strict', config: { AllocationFollow: 'shadow' } });
const program = '/opt/rankshift-tests/bin/allreduce';

/** Processors on which the processes of that command on a node may run. */
async function coresOf(node: string, command: string): Promise<string[]> {
  const script = `for pid in $(pgrep -f '${command}'); do sed -n 's/^Cpus_allowed_list:\\s*//p' /proc/$pid/status; done`;
  const text = await cluster().output(node, ['/bin/sh', '-c', script]);
  return [...new Set(text.split('\n').filter((line) => line !== ''))];
}

test('with processors constrained and Contain: a rank runs on the cores of its shadow, and sacct tells it all', async (t) => {
  // Takes the first core of n3, so that the one of the shadow is another than the job had.
  const wrap = ['--parsable', '-w', 'n3', '-n1', '-t9', '-o', '/dev/null', '--wrap=exec sleep 123'];
  const other = Number(await cluster().output('login', ['sbatch', ...wrap], { user: 'bob' }));
  await until('it runs', async () => (await coresOf('n3', '^sleep 123')).length > 0);
  const job = await submitRun(cluster(), `${program} --seconds 300`, { nodelist: 'n[1-2]' });
  await job.untilPrinted(/progress/);
  const before = await coresOf('n1', `^${program}`);

  await move(cluster(), job.container(1), { to: 'n3' });
  const [shadow] = await shadows(cluster());
  t.like(shadow, { user: 'alice', state: 'RUNNING', nodes: 'n3', cpus: 1 });
  t.regex(await jobField(cluster(), shadow?.id ?? 0, 'AllocTRES'), /cpu=1,mem=200M,node=1/);
  t.is(await nodesOf(cluster(), job.id), 'n1');
  t.deepEqual([before, await coresOf('n3', `^${program}`)], [['0'], ['1']], 'held to its cores before and after');
  t.deepEqual(await coresOf('n3', '^sleep 123'), ['0']);

  await move(cluster(), job.container(1), { to: 'n2' });
  t.deepEqual(
    (await shadows(cluster())).map(({ nodes }) => nodes),
    ['n2'],
    'n2 had left the job',
  );
  t.deepEqual(await coresOf('n2', `^${program}`), ['0']);
  t.like(await job.finish(), endedVerified);
  await cluster().exec('ctl', ['scancel', String(other)]);
  await untilNothingIsHeld(cluster());
  const format = '--format=jobid,jobname%20,nodelist,state';
  const told = await cluster().output('ctl', ['sacct', '--completion', '--noheader', '--parsable2', format]);
  const rows = told.split('\n').filter((line) => !line.startsWith(`${other}|`));
  const names = rows.map((line) => line.split('|').slice(1).join(' '));
  t.deepEqual(names, [
    'sbatch n[1-2] RESIZING',
    'rankshift-shadow n3 CANCELLED',
    'sbatch n1 COMPLETED',
    'rankshift-shadow n2 CANCELLED',
  ]);
});
