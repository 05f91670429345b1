import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { cutLink, healLink } from '../src/testbed/index.ts';
import { configure } from './faults/second-controller.ts';
import { endedVerified, type Job, submitRun } from './support/job.ts';
import { move, nodeOf, request, showMigration, untilState } from './support/move.ts';
import { killService } from './support/service.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

/** Memory that comes after the commit, out of the frozen container on the source: what can happen until it is there. */
const cluster = useCluster(test, 'post-copy');
const memhog = '/opt/rankshift-tests/bin/memhog';
const ends = ['completed', 'lost', 'rolled-back', 'needs-operator'] as const;

const pids = async (node: string, command: string) => {
  const { stdout } = await cluster().testbed.exec(node, ['pgrep', '-f', `rankshift-pages ${command}`], {
    allow: 'any',
  });
  return stdout.split('\n').filter(Boolean);
};

async function startJob(options = ''): Promise<Job> {
  const job = await submitRun(cluster(), `${memhog} --seconds 3600 --mib 64 --step-ms 20 ${options}`);
  await job.untilPrinted(/"event":"progress"/, 2);
  return job;
}

/** A container that runs on n3 already, while most of its memory is still on n2. */
async function inTheTail(): Promise<{ job: Job; id: string }> {
  const job = await startJob();
  const { id } = await request(cluster(), job.container(1), {
    to: 'n3',
    strategy: 'post-copy',
    more: ['--bandwidth', '5M'],
  });
  await untilState(cluster(), id, ['finishing']);
  return { job, id };
}

for (const strategy of ['post-copy', 'hybrid'] as const) {
  test(`${strategy}: ten moves of a rank that writes all over its memory lose not one page`, async (t) => {
    t.timeout(480_000);
    const job = await startJob('--dirty-percent 20');
    const told: string[] = [];
    for (let i = 0; i < 10; i++) {
      // Slower than the rank writes: rounds leave more than fits into the freeze.
      const more = strategy === 'hybrid' && i === 9 ? ['--bandwidth', '8M'] : [];
      const { result, plan } = await move(cluster(), job.container(1), { strategy, more });
      told.push(`${Math.round(result?.downtimeMs ?? 0)}/${Math.round((result?.leftBytes ?? 0) / 2 ** 20)}`);
      t.is(plan?.strategy, strategy);
      t.is(result?.copy === null, strategy === 'post-copy');
      if (strategy === 'post-copy') t.true((result?.leftBytes ?? 0) > 60 * 2 ** 20);
      if (more.length > 0) t.true((result?.leftBytes ?? 0) > 2 ** 20);
    }
    t.log(`downtime, ms / left behind, MiB: ${told.join(' ')}`);
    t.deepEqual(await job.finish(), endedVerified);
  });
}

test('agents and controller that are killed while memory comes: it comes all the same', async (t) => {
  t.timeout(300_000);
  for (const [node, service] of [
    ['n2', 'agent'],
    ['n3', 'agent'],
    ['ctl', 'controller'],
  ] as const) {
    const { job, id } = await inTheTail();
    await killService(cluster(), node, service);
    t.is((await untilState(cluster(), id, ends)).state, 'completed', `${service} on ${node}`);
    t.deepEqual([await pids('n2', 'source'), await pids('n3', 'take')], [[], []]);
    t.is(await nodeOf(cluster(), job.container(1)), 'n3');
    t.deepEqual(await job.finish(), endedVerified);
  }
});

test('a source that dies with pages is told at once: the container is lost, and its job fails', async (t) => {
  t.timeout(300_000);
  const { job, id } = await inTheTail();
  const since = Date.now();
  await cluster().output('n2', ['kill', '-KILL', ...(await pids('n2', 'source'))]);
  const record = await untilState(cluster(), id, ends);
  t.is(record.state, 'lost');
  t.true(Date.now() - since < 20_000, `${Date.now() - since} ms`);
  t.regex(record.error?.message ?? '', /was lost on n3/);
  t.is(record.error?.code, 'E_LOST');
  const end = await job.untilEnded(90_000);
  t.is(end.state, 'FAILED', job.all);
  t.regex(job.stderr, /container \d+\.1 was lost on n3/);
  t.notRegex(job.all, /VERIFICATION/);
});

test('a link that is cut while memory comes: a short cut is waited for, a long one costs the container', async (t) => {
  t.timeout(300_000);
  const short = await inTheTail();
  await cutLink(cluster().testbed.state, 'n2', 'n3');
  await sleep(3000);
  await healLink(cluster().testbed.state, 'n2', 'n3');
  t.is((await untilState(cluster(), short.id, ends)).state, 'completed');
  t.deepEqual(await short.job.finish(), endedVerified);
  const long = await inTheTail();
  await cutLink(cluster().testbed.state, 'n2', 'n3');
  try {
    t.is((await untilState(cluster(), long.id, ends)).state, 'lost');
    t.is((await long.job.untilEnded(90_000)).state, 'FAILED');
    await until('the source has let go', async () => (await pids('n2', 'source')).length === 0);
  } finally {
    await healLink(cluster().testbed.state, 'n2', 'n3');
  }
});

test('the plan tells the risk, and PostCopy=never forbids it', async (t) => {
  t.timeout(300_000);
  const job = await startJob();
  const plan = (...more: string[]) => cluster().rankshift(['plan', job.container(1), ...more]);
  const told = await plan('--strategy', 'post-copy');
  t.is(told.exitCode, 0);
  t.regex(told.stdout, /warning {4}until all memory has come.* n2 must live/);
  configure(cluster(), 'PostCopy', 'never');
  await killService(cluster(), 'ctl', 'controller');
  try {
    await cluster().untilReady();
    for (const strategy of ['post-copy', 'hybrid']) {
      const refused = await plan('--strategy', strategy);
      t.is(refused.exitCode, 3);
      t.regex(refused.stdout, new RegExp(`no-${strategy}: PostCopy=never`));
    }
    t.is((await plan()).exitCode, 0);
  } finally {
    configure(cluster(), 'PostCopy', null);
    await killService(cluster(), 'ctl', 'controller');
    await cluster().untilReady();
  }
  t.is((await showMigration(cluster(), (await move(cluster(), job.container(1))).id)).state, 'completed');
  t.deepEqual(await job.finish(), endedVerified);
});
