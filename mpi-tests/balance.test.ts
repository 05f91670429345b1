import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { decisionRecordSchema } from '../src/migration/decision.ts';
import { isFinal } from '../src/migration/machine.ts';
import { migrationsAnswer, parseAnswer } from './support/answers.ts';
import { endedVerified, type Job, submitRun } from './support/job.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'balance', {
  config: { BalanceHoldMs: '5000', BalanceThreshold: '0.4' },
});
/** Many: the machine may have other work, of which they are to be a multiple. */
const hogs = 8;
const hogSeconds = 300;
/** They run as long as it is there. */
const hogFile = '/tmp/hogs-run';
const hog = `while [ -e ${hogFile} ]; do i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; done`;
const decisionsAnswer = z.strictObject({ version: z.literal(1), decisions: z.array(decisionRecordSchema) });

/** Nodes share a machine: a hog slows its own only where each has a processor of its own. False where that cannot be. */
function pinNodes(): boolean {
  const cpuset = cluster().testbed.state.cgroups.find(({ controller }) => controller === 'cpuset');
  if (cpuset === undefined) return false;
  const ours = readFileSync(join(cpuset.dir, 'cpuset.cpus'), 'utf8').trim().split(',');
  const [first, second] = ours.flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
  if (first === undefined || second === undefined) return false;
  for (const [index, node] of cluster().nodes.entries())
    writeFileSync(join(cpuset.dir, node, 'cpuset.cpus'), String(index === 0 ? first : second));
  return true;
}

/** Seconds of each iteration by MPI_Wtime, which runs on across a move. */
function iterations(job: Job, from = 0): number[] {
  const times = job.lines(/^iteration /).map((line) => Number(/t=([\d.]+)/.exec(line)?.[1]));
  return times.slice(from).flatMap((time, index, all) => (index === 0 ? [] : [time - (all[index - 1] ?? 0)]));
}

/** Of the section's own iterations: between two sections lies what is not timed. */
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

test('a rank next to a hog is taken to a quiet node, and its iterations are as fast as before', async (t) => {
  if (!pinNodes()) return t.pass('no cpuset controller, or one processor alone');
  const job = await submitRun(cluster(), '/opt/rankshift-tests/bin/cg A --seconds 300', {
    ...{ nodes: 1, nodelist: 'n1', sbatch: ['--time=20'] },
  });
  await job.untilPrinted(/^iteration /, 40);
  const quiet = median(iterations(job));
  const hogAt = job.lines(/^iteration /).length;
  const file = cluster().testbed.path('n1', hogFile);
  writeFileSync(file, '');
  t.teardown(() => rmSync(file, { force: true }));
  // Each a session of its own: the kernel shares a processor between sessions first (sched(7), autogroups).
  for (let count = 0; count < hogs; count++)
    cluster().testbed.spawn('n1', ['setsid', 'timeout', String(hogSeconds), '/bin/sh', '-c', hog]);
  const moves = async () => {
    const { migrations } = parseAnswer(migrationsAnswer, await cluster().rankshift(['show', '--json']));
    return migrations.filter(({ requestedBy }) => requestedBy.name === 'balancer');
  };
  await job.untilPrinted(/^iteration /, hogAt + 12, 120_000);
  const balancing = cluster().testbed.spawn('ctl', ['timeout', '200', 'rankshift', 'balance']);
  t.teardown(() => balancing.kill('SIGKILL'));
  const asked = await until('the balancer asks for a move', async () => (await moves())[0], { timeoutMs: 150_000 });
  const hogged = median(iterations(job, hogAt + 2));
  const record = await until(
    'the move ends',
    async () => (await moves()).find(({ id, state }) => id === asked.id && isFinal(state)),
    { timeoutMs: 120_000 },
  );
  t.is(record.state, 'completed', JSON.stringify(record.error));
  t.is(record.source, 'n1');
  const movedAt = job.lines(/^iteration /).length;
  await job.untilPrinted(/^iteration /, movedAt + 20, 120_000);
  // Whatever else the machine does passes; the hogs do not.
  const recovered = await until(
    'it recovers',
    () => {
      const last = median(iterations(job, movedAt + 2).slice(-15));
      return last < 0.8 * hogged && last;
    },
    { timeoutMs: 120_000, pollMs: 500 },
  );
  const ms = (seconds: number) => `${(seconds * 1000).toFixed(1)} ms`;
  t.log(`per iteration: ${ms(quiet)} quiet, ${ms(hogged)} with ${hogs} hogs, ${ms(recovered)} after the move`);
  const answer = await cluster().rankshift(['decisions', '--json']);
  const { decisions } = parseAnswer(decisionsAnswer, answer);
  const [decided] = decisions.filter(({ act }) => act === 'move');
  t.log(decided?.why ?? 'no decision');
  t.is(decided?.migration, asked.id);
  t.is((await moves()).length, 1);
  t.deepEqual(await job.finish(), endedVerified, job.all.slice(-3000));
});
