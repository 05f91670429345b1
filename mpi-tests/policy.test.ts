import { rmSync } from 'node:fs';
import test from 'ava';
import { endedVerified, submit } from './support/job.ts';
import { move, refusal, request, untilState } from './support/move.ts';
import { clearBreakpoint, setBreakpoint, untilHit } from './support/service.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'policy');
const directory = '/etc/rankshift/policy.d';
const file = `${directory}/10-site.conf`;

/** A policy of one file, in force when this returns. */
async function setPolicy(text: string | null): Promise<void> {
  const path = cluster().testbed.path('ctl', file);
  if (text === null) rmSync(path);
  else await cluster().output('ctl', ['sh', '-c', `mkdir -p ${directory} && cat >${file}`], { input: text });
  await cluster().rankshift(['policy', 'check'], { user: 'root' });
}

/** Local time of the testbed, some hours from now. */
async function hour(fromNow: number): Promise<string> {
  return await cluster().output('ctl', ['date', '-d', `${fromNow} hours`, '+%H:00']);
}

test('a policy says who may be moved, how and when; while it is broken the one before holds', async (t) => {
  const script = [
    '#RANKSHIFT --max-downtime=1m --strategies=pre-copy,stop-and-copy',
    'exec rankshift run --no-gang --bandwidth=2G -- /opt/rankshift-tests/bin/pingpong --seconds 300 --pause-us 500',
  ].join('\n');
  const job = await submit(cluster(), script, { sbatch: ['--job-name=relax', "--comment='rankshift: --gang'"] });
  await job.untilPrinted(/progress/);
  const c1 = job.container(1);
  const check = async () => await cluster().rankshift(['policy', 'check', String(job.id)]);

  await setPolicy('Bandwidth=1G # of the site\nUser=alice Move=never\n');
  const { stdout, exitCode } = await check();
  t.is(exitCode, 0, stdout);
  t.regex(stdout, new RegExp(`^Move +never +${file}:2: User=alice Move=never$`, 'm'));
  t.regex(stdout, /^Strategies +pre-copy,stop-and-copy +line \d+ of the batch script$/m);
  t.regex(stdout, /^Gang +no +option of rankshift run$/m);
  t.regex(stdout, new RegExp(`^Bandwidth +1G +${file}:1: Bandwidth=1G$`, 'm'));
  t.regex(stdout, /^passed over for Bandwidth: option of rankshift run: 2G is out of the bounds/m);
  const forbidden = await refusal(cluster(), ['migrate', c1]);
  t.is(forbidden.exitCode, 3);
  t.regex(forbidden.error.message, /is not to be moved: .*10-site\.conf:2/);
  t.regex((await cluster().rankshift(['plan', c1])).stdout, /policy-never: /);

  await setPolicy('User=alice Move=maybe\n');
  const broken = await check();
  t.is(broken.exitCode, 2);
  t.regex(broken.stdout, new RegExp(`error: ${file}:1: Move=maybe: allowed is allowed, never or required`));
  t.is((await refusal(cluster(), ['migrate', c1])).exitCode, 3);

  await setPolicy(`JobName=rel* Window=${await hour(2)}-${await hour(3)}\nStrategies=stop-and-copy\n`);
  t.is((await refusal(cluster(), ['migrate', c1, '--override-policy'])).exitCode, 6);
  t.is((await refusal(cluster(), ['migrate', c1, '--not-before', '2020-01-01'])).exitCode, 2);
  const over = await refusal(cluster(), ['migrate', c1, '--window', '2020-01-01T10:00/2020-01-01T11:00']);
  t.is(over.exitCode, 3);
  t.regex(over.error.message, /no moment lies in its window/);
  const waiting = await request(cluster(), c1);
  t.is(waiting.state, 'queued');
  t.regex(waiting.waitingFor ?? '', /its window .*10-site\.conf:1\): begins /);
  const called = await request(cluster(), c1);
  t.is((await cluster().rankshift(['cancel', called.id])).exitCode, 0);
  await untilState(cluster(), called.id, ['cancelled']);
  // One that was asked for later and called off in its switch closes nothing for the one that waits.
  setBreakpoint(cluster(), 'n2', 'source-frozen');
  const frozen = await request(cluster(), c1, { user: 'root', to: 'n3', more: ['--override-policy'] });
  await untilHit(cluster(), 'n2', 'source-frozen');
  t.is((await cluster().rankshift(['cancel', frozen.id], { user: 'root' })).exitCode, 0);
  clearBreakpoint(cluster(), 'n2', 'source-frozen');
  await untilState(cluster(), frozen.id, ['cancelled']);
  // An administrator need not wait, and what waits holds nobody up.
  await move(cluster(), c1, { user: 'root', to: 'n3', more: ['--override-policy'] });

  await setPolicy('Strategies=stop-and-copy\n');
  const moved = await untilState(cluster(), waiting.id, ['completed', 'refused', 'rolled-back']);
  t.is(moved.state, 'completed', JSON.stringify(moved.error));
  t.is(moved.plan?.strategy, 'stop-and-copy');

  // The history tells the same, to the job's user also what others asked for.
  const fields = ['-o', 'JobID,User,By,State', '--parsable2', '--no-header'];
  const told = await cluster().rankshift(['history', '-j', String(job.id), ...fields]);
  t.deepEqual(told.stdout.trim().split('\n'), [
    `${c1}|alice|alice|COMPLETED`,
    `${c1}|alice|alice|CANCELLED`,
    `${c1}|alice|root|CANCELLED`,
    `${c1}|alice|root|COMPLETED`,
  ]);
  t.is((await cluster().rankshift(['history', '-w', 'n3', '-S', 'now-1hour', '-n'], { user: 'bob' })).stdout, '');
  t.is((await cluster().rankshift(['history', '-S', 'now', '-E', 'now-1hour'])).exitCode, 2);
  await setPolicy(null);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('wishes that cannot be read end the start; the log of the controller tells a broken policy', async (t) => {
  const script = '#RANKSHIFT --max-downtime=soon\nexec rankshift run -- /bin/true';
  const job = await submit(cluster(), script);
  t.is((await job.untilEnded()).exitCode, 2);
  t.regex(job.stderr, /line \d+ of the batch script: --max-downtime=soon: allowed is a duration/);
  await setPolicy('Colour=red\n');
  const answer = await until('policy check tells it', async () => {
    const { stdout, exitCode } = await cluster().rankshift(['policy', 'check', '--json'], { user: 'root' });
    return exitCode === 2 ? stdout : undefined;
  });
  t.regex(answer, /unknown key Colour/);
  await setPolicy(null);
});
