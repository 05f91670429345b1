import test from 'ava';
import { CopyWatch } from './faults/copies.ts';
import { faults } from './faults/faults.ts';
import { Lane } from './faults/lane.ts';
import { point } from './faults/points.ts';
import { Records } from './faults/records.ts';
import { configure, startSecondController } from './faults/second-controller.ts';
import { endedVerified, submitRun } from './support/job.ts';
import { request, showMigration } from './support/move.ts';
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

/** Who decides, and who gives up: commit records, drivers, operators, and jobs that end in the middle of a move. */
const cluster = useCluster(test, 'faults-control');

for (const [script, what] of [
  ['commit-record.ts', 'commit records: what is decided stays decided, of commit and abort one wins'],
  ['leases.ts', 'leases: who lost his acts no more'],
] as const) {
  test(`in a real Redis, ${what}`, async (t) => {
    t.timeout(300_000);
    const file = `/opt/rankshift/mpi-tests/faults/${script}`;
    t.is(await cluster().output('ctl', ['/opt/rankshift/node_modules/.bin/node', file]), 'right');
  });
}

test('a controller that dies while it takes a finished run down takes no exit code with it', async (t) => {
  t.timeout(300_000);
  for (const at of ['controller-run-exited', 'controller-run-ended']) {
    setBreakpoint(cluster(), 'ctl', at);
    const job = await submitRun(cluster(), "sh -c 'echo done; exit 3'", { nodes: 2 });
    await untilHit(cluster(), 'ctl', at);
    await killService(cluster(), 'ctl', 'controller');
    clearBreakpoint(cluster(), 'ctl', at);
    t.like(await job.untilEnded(), { state: 'FAILED', exitCode: 3 }, `${at}: ${job.all}`);
  }
});

test('a driver that was taken for dead and comes back changes nothing', async (t) => {
  t.timeout(300_000);
  const lane = await Lane.start(cluster());
  const second = await startSecondController(cluster());
  try {
    for (const at of ['controller-preparing', 'controller-switching']) {
      const parts = await lane.parts(1);
      const watch = new CopyWatch(cluster(), lane.job.id, 1);
      watch.start();
      setBreakpoint(cluster(), 'ctl', at);
      const { id } = await request(cluster(), lane.job.container(1), { to: parts.target, strategy: 'stop-and-copy' });
      // As a driver whose machine stands still: it holds no lease any more, and knows nothing of it.
      const pid = String(await untilHit(cluster(), 'ctl', at));
      await cluster().output('ctl', ['kill', '-STOP', pid]);
      clearBreakpoint(cluster(), 'ctl', at);
      const ended = await lane.untilFinal(id).finally(() => cluster().output('ctl', ['kill', '-CONT', pid]));
      t.is(ended.state, at === 'controller-preparing' ? 'completed' : 'rolled-back');
      t.deepEqual(await lane.look(ended, parts, 1, watch), []);
      t.deepEqual(watch.stop(), []);
      const { revision, state } = await showMigration(cluster(), id);
      t.deepEqual({ revision, state }, { revision: ended.revision, state: ended.state });
    }
  } finally {
    await second.end();
  }
  t.deepEqual(await lane.job.finish(), endedVerified);
});

test('a migration that gave up waiting names the command that ends it, and the command does', async (t) => {
  t.timeout(300_000);
  configure(cluster(), 'AgentPatienceMs', '3000');
  await killService(cluster(), 'ctl', 'controller');
  await cluster().untilReady();
  const lane = await Lane.start(cluster());
  const parts = await lane.parts(1);
  const watch = new CopyWatch(cluster(), lane.job.id, 1);
  watch.start();
  setBreakpoint(cluster(), parts.source, 'source-frozen');
  const { id } = await request(cluster(), lane.job.container(1), { to: parts.target });
  await untilHit(cluster(), parts.source, 'source-frozen');
  await holdService(cluster(), parts.source, 'agent');
  clearBreakpoint(cluster(), parts.source, 'source-frozen');
  // The controller learns of it only when an agent is there again, or when it is restarted itself.
  await killService(cluster(), 'ctl', 'controller');
  const record = await lane.untilFinal(id);
  t.is(record.state, 'needs-operator');
  t.is(record.error?.action, `rankshift resolve ${id}`);
  await releaseService(cluster(), parts.source, 'agent');
  await until('the agent is back', () => lane.records.allReady(), { timeoutMs: 20_000 });
  const stranger = await cluster().rankshift(['resolve', id], { user: 'bob' });
  t.is(stranger.exitCode, 6);
  const resolved = await cluster().rankshift(['resolve', id]);
  t.is(resolved.exitCode, 4, resolved.stderr);
  const ended = await showMigration(cluster(), id);
  t.is(ended.state, 'rolled-back');
  t.deepEqual(await lane.look(ended, parts, 1, watch), []);
  t.deepEqual(watch.stop(), []);
  const again = await cluster().rankshift(['resolve', id]);
  t.is(again.exitCode, 3, again.stderr);
  // And the container can move again.
  const row = await lane.strike(faults.controller, point('controller-completed'));
  t.deepEqual([row.state, ...row.wrong], ['completed']);
  t.deepEqual(await lane.job.finish(), endedVerified);
  configure(cluster(), 'AgentPatienceMs', null);
});

for (const at of [
  'target-preparing',
  'source-before-freeze',
  'source-frozen',
  'source-dumped',
  'target-armed',
  'target-gate',
  'target-committed',
  'source-removing',
  'target-finishing',
]) {
  test(`a job that is cancelled while a container of it moves, at ${at}, ends at once and leaves nothing`, async (t) => {
    t.timeout(300_000);
    const lane = await Lane.start(cluster());
    const parts = await lane.parts(1);
    const node = at.startsWith('source') ? parts.source : parts.target;
    setBreakpoint(cluster(), node, at);
    const { id } = await request(cluster(), lane.job.container(1), { to: parts.target });
    await untilHit(cluster(), node, at);
    await cluster().output('login', ['scancel', String(lane.job.id)], { user: 'alice' });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    clearBreakpoint(cluster(), node, at);
    t.is((await lane.job.untilEnded(90_000)).state, 'CANCELLED');
    const { state } = await lane.untilFinal(id);
    t.log(state);
    t.true(['cancelled', 'rolled-back', 'completed'].includes(state), state);
    // That nothing is left on any node is looked at after each test (support/use-cluster.ts).
  });
}

test('an agent that is killed in the middle of a start leaves nothing of it', async (t) => {
  t.timeout(300_000);
  setBreakpoint(cluster(), 'n2', 'launch-started');
  const job = await submitRun(cluster(), '/opt/rankshift-tests/bin/memhog --seconds 60', { nodelist: 'n[1-2]' });
  await untilHit(cluster(), 'n2', 'launch-started');
  await killService(cluster(), 'n2', 'agent');
  clearBreakpoint(cluster(), 'n2', 'launch-started');
  const end = await job.untilEnded();
  t.is(end.state, 'FAILED', job.all);
  t.regex(job.stderr, /agent on n2/);
  await until('the agent is back', () => new Records(cluster()).allReady());
});
