import test from 'ava';
import { parseAnswer, planAnswer } from './support/answers.ts';
import { endedVerified, type Job, submitRun } from './support/job.ts';
import { move, request, showMigration, untilState } from './support/move.ts';
import { Terminal } from './support/terminal.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'shell');
const allreduce = '/opt/rankshift-tests/bin/allreduce --seconds 1200';

async function running(): Promise<Job> {
  const job = await submitRun(cluster(), allreduce);
  await job.untilPrinted(/progress/);
  return job;
}

/** Processes of this name on any node. */
async function processes(name: string): Promise<number> {
  const counts = await Promise.all(
    cluster().nodes.map(async (node) => (await cluster().exec(node, ['pgrep', '-cf', name])).stdout.trim()),
  );
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

async function shellIn(container: string, more: string[] = [], wrapper: string[] = []): Promise<Terminal> {
  const terminal = new Terminal(cluster(), [...wrapper, 'rankshift', 'shell', ...more, container]);
  terminal.write('PS1=ready-; echo begun-$((1+1))\r');
  await terminal.untilShown(/begun-2\r\n/);
  return terminal;
}

test('a command in a container: its user, its namespaces, no capabilities; streams and exit code', async (t) => {
  const job = await running();
  const script = `echo "$(id -u) $(hostname) $(sed -n 's/^Cap.*:\\t//p;s/^NoNewPrivs:\\t//p' /proc/self/status | tr '\\n' ' ')"; cat; echo to-stderr >&2; exit 7`;
  const argv = ['rankshift', 'shell', job.container(1), '--', '/bin/sh', '-c', script];
  const result = await cluster().exec('login', argv, { user: 'alice', input: 'grüße\n'.repeat(20_000) });
  const [first = '', ...rest] = result.stdout.split('\n');
  const uid = await cluster().output('login', ['id', '-u', 'alice']);
  t.regex(first, new RegExp(`^${uid} c1 (0{16} ){5}1 $`));
  t.is(rest.join('\n'), 'grüße\n'.repeat(20_000));
  t.is(result.stderr, 'to-stderr\n');
  t.is(result.exitCode, 7);
  const cgroup = await cluster().rankshift(['shell', job.container(1), '--', 'cat', '/proc/self/cgroup']);
  t.regex(cgroup.stdout, new RegExp(`0::/.*rs-${job.id}-1/shell-`));
  const bob = await cluster().exec('login', ['rankshift', 'shell', job.container(1), '--', 'id'], { user: 'bob' });
  t.is(bob.exitCode, 6, bob.stderr);
  t.is(bob.stdout, '');
  t.is((await cluster().rankshift(['shell', '99.1'])).exitCode, 3);
  t.is((await cluster().rankshift(['shell', job.container(1), '--', '/no/such'])).exitCode, 127);

  // The same container with a shell on a terminal: size, Ctrl-C, characters of several bytes, its end with the connection.
  const tidy = 'before=$(stty -g); "$@"; code=$?; [ "$(stty -g)" = "$before" ] && echo tidy; exit $code';
  const terminal = await shellIn(job.container(1), [], ['/bin/sh', '-c', tidy, 'sh']);
  terminal.write('stty size\r');
  await terminal.untilShown(/[\r\n]24 80\r/);
  terminal.resize(101, 33);
  await until('the size has come', async () => {
    const from = terminal.output.length;
    terminal.write('stty size\r');
    return (await terminal.untilShown(/[\r\n](\d+ \d+)\r/, from))[1] === '33 101';
  });
  terminal.write('sleep 1001; echo ended-$?\r');
  await until('it sleeps', async () => (await processes('sleep 1001')) > 0);
  terminal.write('\u0003');
  terminal.write('echo "€-$((40+2))-žluť"; tty >/dev/null; echo job-$?\r');
  await terminal.untilShown(/[\r\n]€-42-žluť\r/);
  terminal.write('exit 3\r');
  t.is(await terminal.ended, 3);
  t.regex(terminal.output, /\ntidy\r/, 'the terminal is as it was');

  const dying = await shellIn(job.container(1));
  dying.write('nohup setsid sleep 1002 >/dev/null 2>&1 & sleep 1002\r');
  await until('they sleep', async () => (await processes('sleep 1002')) >= 2);
  dying.kill('SIGKILL');
  await until('nothing of the shell is left', async () => (await processes('sleep 1002')) === 0, {
    timeoutMs: 60_000,
  });
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('a move closes a shell with all that it started, or waits for its end as told', async (t) => {
  const job = await running();
  const container = job.container(1);
  const closing = await shellIn(container);
  closing.write('nohup setsid sleep 1003 >/dev/null 2>&1 & cat\r');
  await until('it sleeps', async () => (await processes('sleep 1003')) > 0);
  const { plan } = parseAnswer(planAnswer, await cluster().rankshift(['plan', container, '--json']));
  t.regex(plan.warnings.join(), /shell of alice is open in .*closes it/);
  t.deepEqual(plan.reasons, []);
  await move(cluster(), container);
  t.is(await closing.ended, 255);
  t.regex(closing.output, /the shell is closed: .* moves to n\d/);
  t.is(await processes('sleep 1003'), 0);

  const waited = await shellIn(container, ['--on-move', 'wait']);
  const { id } = await request(cluster(), container);
  await until('the move waits', async () =>
    /a shell of alice/.test((await showMigration(cluster(), id)).waitingFor ?? ''),
  );
  const busy = await cluster().rankshift(['shell', container, '--', 'id']);
  t.is(busy.exitCode, 3);
  t.regex(busy.stderr, /is being moved/);
  waited.write('exit\r');
  t.is(await waited.ended, 0);
  t.is((await untilState(cluster(), id, ['completed', 'rolled-back', 'refused'])).state, 'completed');
  t.deepEqual(await job.finish(), endedVerified, job.all);
});
