import test from 'ava';
import { limitLink } from '../../src/testbed/link.ts';
import { driftSamples, nextGoodSample } from '../support/drift.ts';
import { endedVerified, type Job, submitRun } from '../support/job.ts';
import { move } from '../support/move.ts';
import { until } from '../support/until.ts';
import { useCluster } from '../support/use-cluster.ts';

/**
 * Moves between virtual machines, each with the distribution's own kernel and clocks of its own: CRIU's pre-copy, which
 * needs soft-dirty, our tracker on a kernel that we did not choose, and a link with latency. Emulated, so all is slow.
 */
const cluster = useCluster(test, 'vm', { vm: true, config: { Tracking: 'soft-dirty' } });
const memhog = '/opt/rankshift-tests/bin/memhog';
const startMs = 300_000;
const testMs = 600_000;

/** What a move may change of MPI_Wtime besides what the measurements leave open. */
const allowedNs = 1e6;
/** An exchange between emulated machines takes long; samples are right to within this. */
const sampleErrorNs = 3e6;

async function started(program: string, printed: RegExp): Promise<Job> {
  const job = await submitRun(cluster(), program, { nodelist: 'n1,n2' });
  await job.untilPrinted(printed, 2, startMs);
  return job;
}

/** Both nodes send so much later. */
async function delayLinks(delay: string | undefined): Promise<void> {
  for (const node of cluster().nodes) await limitLink(cluster().testbed.state, node, undefined, delay);
}

/** Restarts the agents with another way of noting writes. */
async function track(how: string): Promise<void> {
  const script = `sed -i '/^Tracking=/d' /etc/rankshift/rankshift.conf
    echo Tracking=${how} >>/etc/rankshift/rankshift.conf
    kill -KILL $(cat /run/rankshift/agent.pid)`;
  for (const node of cluster().nodes) await cluster().output(node, ['/bin/sh', '-c', script]);
  await new Promise((resolve) => setTimeout(resolve, 5000));
  await cluster().untilReady(startMs);
}

test.serial('each machine has a kernel and clocks of its own', async (t) => {
  const releases = await Promise.all(cluster().nodes.map((node) => cluster().output(node, ['uname', '-r'])));
  for (const release of releases) t.regex(release, /-cloud-amd64$/);
  const uptime = async (node: string) => Number((await cluster().output(node, ['cat', '/proc/uptime'])).split(' ')[0]);
  t.true((await uptime('n1')) < (await uptime('ctl')));
});

test.serial('CRIU copies in rounds while the ranks run, and its chain of images restores', async (t) => {
  t.timeout(testMs);
  const job = await started(`${memhog} --mib 48 --seconds 3600 --step-ms 50 --dirty-percent 5`, /"event":"progress"/);
  for (const to of ['n1', 'n2']) {
    const { plan, result } = await move(cluster(), job.container(1), { to, strategy: 'pre-copy' });
    t.is(plan?.lazy, false);
    const rounds = result?.copy?.rounds ?? [];
    t.true(rounds.length >= 2, JSON.stringify(rounds));
    // The first brings everything, the freeze a part.
    t.true((rounds[0]?.bytes ?? 0) > 48 * 2 ** 20);
    const copied = rounds.reduce((sum, { bytes }) => sum + bytes, 0);
    t.true((result?.bytes?.pages ?? 0) - copied < (rounds[0]?.bytes ?? 0) / 2);
    t.log(
      `downtime ${result?.downtimeMs} ms, rounds ${rounds.map(({ bytes, ms }) => `${bytes >> 10} KiB ${Math.round(ms)} ms`)}`,
    );
  }
  const { plan, result } = await move(cluster(), job.container(1), { to: 'n1', strategy: 'stop-and-copy' });
  t.is(plan?.lazy, false);
  t.log(`stop-and-copy: downtime ${result?.downtimeMs} ms`);
  t.deepEqual(await job.finish(), endedVerified, job.stderr);
});

test.serial('over a link with a round trip of 50 ms a solver goes on with right results', async (t) => {
  t.timeout(testMs);
  const job = await started('cg S --seconds 3600', /./);
  await delayLinks('25ms');
  try {
    const { result, plan } = await move(cluster(), job.container(1), { to: 'n1', strategy: 'pre-copy' });
    t.true((plan?.link?.roundTripMs ?? 0) >= 50, `${plan?.link?.roundTripMs} ms`);
    t.log(`downtime ${result?.downtimeMs} ms, ${result?.copy?.rounds.length} rounds`);
  } finally {
    await delayLinks(undefined);
  }
  await move(cluster(), job.container(1), { to: 'n2', strategy: 'pre-copy' });
  t.deepEqual(await job.finish(), endedVerified, job.stderr);
});

test.serial('our tracker works on this kernel too, and MPI_Wtime runs on between machines', async (t) => {
  t.timeout(testMs);
  await track('auto');
  const drift = '/opt/rankshift-tests/bin/drift --seconds 3600 --interval-ms 50 --exchanges 50';
  const job = await submitRun(cluster(), drift, { nodelist: 'n1,n2' });
  await job.untilPrinted(/"offsetNs"/, 3, startMs);
  await until('samples come', () => driftSamples(job, 1).length > 3, { timeoutMs: 60_000 });
  for (const to of ['n1', 'n2']) {
    const before = await nextGoodSample(job, 1, sampleErrorNs);
    const { plan, result } = await move(cluster(), job.container(1), { to, strategy: 'pre-copy' });
    t.is(plan?.lazy, true);
    const after = await nextGoodSample(job, 1, sampleErrorNs);
    const changeNs = Math.abs(after.offsetNs - before.offsetNs);
    const openNs = Number(result?.clock?.errorBoundNs) + before.errorNs + after.errorNs;
    t.log(
      `downtime ${result?.downtimeMs} ms; MPI_Wtime changed by ${Math.round(changeNs / 1000)} us, bound ${Math.round(openNs / 1000)} us`,
    );
    t.true(changeNs <= openNs + allowedNs, `${changeNs} ns, ${openNs} ns`);
  }
  t.deepEqual(await job.finish(), endedVerified, job.stderr);
});
