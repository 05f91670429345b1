import test from 'ava';
import { gapAround, gapsOf, windowOf } from '../benchmarks/cluster/gaps.ts';
import type { MigrationRecord } from '../src/migration/record.ts';
import { misplaced } from './faults/places.ts';
import { endedVerified, type Job, submitRun } from './support/job.ts';
import { containers, moveSet, request, untilState } from './support/move.ts';
import { clearBreakpoint, killService, setBreakpoint, untilHit } from './support/service.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'together');
const programs = '/opt/rankshift-tests/bin';
const finals = ['completed', 'refused', 'cancelled', 'rolled-back', 'needs-operator', 'lost'] as const;

/** Container of the job -> node, by the records. */
async function places(job: Job): Promise<Map<number, string>> {
  const own = (await containers(cluster())).filter((one) => one.job === job.id);
  return new Map(own.map(({ index, owner }) => [index, owner]));
}

/** Requests a move of each at once and waits for all. */
async function moveAll(job: Job, targets: ReadonlyMap<number, string>): Promise<MigrationRecord[]> {
  const asked = await Promise.all([...targets].map(([index, to]) => request(cluster(), job.container(index), { to })));
  return await Promise.all(asked.map(({ id }) => untilState(cluster(), id, finals)));
}

const began = (record: MigrationRecord, state: string) =>
  record.phases.find(({ name }) => name === state)?.at ?? Number.POSITIVE_INFINITY;

/** When the containers were stopped, Unix time in milliseconds. */
function windows(records: readonly MigrationRecord[]): { from: number; to: number }[] {
  return records.map(({ result }) => {
    const from = result?.timeline.find(({ name }) => name === 'frozen')?.at ?? Number.NaN;
    return { from, to: from + (result?.downtimeMs ?? Number.NaN) };
  });
}

test('all containers of a job change places at once, again and again, and CG is verified', async (t) => {
  const job = await submitRun(cluster(), `${programs}/cg A --seconds 600`, { nodes: 3 });
  await job.untilPrinted(/^iteration /, 2);
  const stalls: number[] = [];
  for (let round = 0; round < 4; round++) {
    const before = await places(job);
    // Each to where the next one is; in the last round two of them change places and the third stays.
    const moving = round < 3 ? [0, 1, 2] : [1, 2];
    const target = (at: number) => before.get(moving[(at + 1) % moving.length] ?? -1) ?? '';
    const targets = new Map(moving.map((index, at) => [index, target(at)]));
    const records = await moveAll(job, targets);
    for (const record of records) t.is(record.state, 'completed', JSON.stringify(record.error));
    for (const [index, to] of targets) t.is((await places(job)).get(index), to);
    // At the same time: each began before any had ended.
    const firstEnd = Math.min(...records.map(({ endedAt }) => endedAt ?? Number.NaN));
    for (const record of records) t.true(began(record, 'preparing') < firstEnd, `${record.id}: not at the same time`);
    // But frozen one after another.
    const frozen = windows(records).sort((a, b) => a.from - b.from);
    for (const [at, { from }] of frozen.entries()) t.true(from >= (frozen[at - 1]?.to ?? 0), JSON.stringify(frozen));
    stalls.push(...records.map(({ result }) => Math.round((result?.stallMs ?? -1) - (result?.downtimeMs ?? 0))));
    t.deepEqual(await misplaced(cluster(), job.id, await places(job)), []);
    await job.untilPrinted(/^iteration /, job.lines(/^iteration /).length + 2, 90_000);
  }
  t.log(`stall beyond the downtime, ms: ${stalls.join(' ')}`);
  t.deepEqual(await job.finish(), endedVerified, job.all);
  t.notRegex(job.stdout, /mismatch/);
});

test('a gang freezes together; one that is called off meanwhile keeps nobody', async (t) => {
  const job = await submitRun(cluster(), `${programs}/cg A --seconds 600`, { nodes: 3 });
  await job.untilPrinted(/^iteration /, 2);
  const before = await places(job);
  const around = new Map([0, 1, 2].map((index) => [index, before.get((index + 1) % 3) ?? '']));
  const all = new Map([...around].map(([index, to]) => [job.container(index), to]));
  const { exitCode, group, migrations } = await moveSet(cluster(), all);
  t.is(exitCode, 0, JSON.stringify(migrations.map(({ error }) => error)));
  t.deepEqual(await places(job), around);
  const frozen = windows(migrations);
  const together = Math.min(...frozen.map(({ to }) => to)) - Math.max(...frozen.map(({ from }) => from));
  t.true(together > 0, `not frozen together: ${JSON.stringify(frozen)}`);
  t.log(`frozen ${migrations.map(({ result }) => Math.round(result?.downtimeMs ?? 0)).join(', ')} ms`);
  t.deepEqual(await misplaced(cluster(), job.id, await places(job)), []);
  await job.untilPrinted(/^iteration /, job.lines(/^iteration /).length + 2, 20_000);

  // One of two waits for the other, which never becomes ready.
  const [here, there] = [around.get(1) ?? '', around.get(2) ?? ''];
  setBreakpoint(cluster(), there, 'source-copied');
  const swapped = new Map([
    [job.container(1), there],
    [job.container(2), here],
  ]);
  const named = [...swapped].map(([container, to]) => `${container}=${to}`);
  const dry = await cluster().rankshift(['migrate', ...named, '--dry-run', '--json'], { user: 'alice' });
  t.is(dry.exitCode, 0, dry.stderr);
  const { plans, prediction } = JSON.parse(dry.stdout);
  t.deepEqual([plans.length, prediction.moves.length], [2, 2], dry.stdout);
  const [goes, stays] = (await moveSet(cluster(), swapped, [])).migrations.map(({ id }) => id);
  // The dry run has queued nothing.
  t.is(Number(goes), Math.max(...migrations.map(({ id }) => Number(id))) + 1);
  try {
    await untilHit(cluster(), there, 'source-copied');
    t.is((await cluster().rankshift(['cancel', stays ?? ''])).exitCode, 0);
    t.is((await untilState(cluster(), goes ?? '', finals)).state, 'completed');
  } finally {
    clearBreakpoint(cluster(), there, 'source-copied');
  }
  t.is((await untilState(cluster(), stays ?? '', finals)).state, 'cancelled');
  const html = await cluster().rankshift(['report', goes ?? '', '--html']);
  t.regex(html.stdout, /^<!DOCTYPE html>.*<svg .*<\/html>\n$/s);
  t.regex((await cluster().rankshift(['report', group])).stdout, /^all together: .*predicted by their plans/m);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('ranks that moved together do not lose what they send each other first', async (t) => {
  const program = `${programs}/allreduce --seconds 600 --gap-ms 20 --pause-us 1000`;
  const job = await submitRun(cluster(), program, { nodes: 3, nodelist: 'n1,n2,n3' });
  await job.untilPrinted(/progress/, 2);
  const at = ['n2', 'n3'];
  const records: MigrationRecord[] = [];
  for (let round = 0; round < 6; round++) {
    at.reverse();
    const { exitCode, migrations } = await moveSet(
      cluster(),
      new Map(at.map((node, index) => [job.container(index + 1), node])),
    );
    t.is(exitCode, 0, JSON.stringify(migrations.map(({ error }) => error)));
    records.push(...migrations);
  }
  t.deepEqual(await job.finish(), endedVerified, job.all);
  // A lost segment was sent again after 1 s, and what came before it after another 3.
  const beyond = records.map((record) => gapAround(gapsOf(job), 0, record) - windowOf(record).downtimeMs);
  t.log(`stall of the rank that stayed beyond the downtime, ms: ${beyond.map(Math.round).join(' ')}`);
  // Of each two the one that stands last does not wait; the other waits for that, and not until it may wait no more.
  const waits = records.map(
    ({ result }) => result?.timeline.find(({ name }) => name === 'gang stands')?.ms ?? Number.NaN,
  );
  t.log(`waited for each other, ms: ${waits.map(Math.round).join(' ')}`);
  t.true(Math.max(...beyond) < 900, beyond.join(' '));
  t.true((waits.toSorted((a, b) => a - b)[records.length / 2 - 1] ?? Number.NaN) < 200, waits.join(' '));
});

test('of two that change places one is called off at its gate, while the controller dies: the other arrives', async (t) => {
  const job = await submitRun(cluster(), `${programs}/allreduce --seconds 600`);
  await job.untilPrinted(/progress/);
  setBreakpoint(cluster(), 'n2', 'target-gate');
  const [stays, goes] = await Promise.all([
    request(cluster(), job.container(0), { to: 'n2' }),
    request(cluster(), job.container(1), { to: 'n1' }),
  ]);
  try {
    await untilHit(cluster(), 'n2', 'target-gate');
    // Its peer waits for its turn to freeze, or has had it.
    await killService(cluster(), 'ctl', 'controller');
    await cluster().untilReady();
    t.is((await cluster().rankshift(['cancel', stays.id])).exitCode, 0);
  } finally {
    clearBreakpoint(cluster(), 'n2', 'target-gate');
  }
  t.is((await untilState(cluster(), stays.id, finals)).state, 'cancelled');
  const arrived = await untilState(cluster(), goes.id, finals);
  t.is(arrived.state, 'completed', JSON.stringify(arrived.error));
  t.deepEqual([...(await places(job)).values()], ['n1', 'n1']);
  await job.untilPrinted(/progress/, job.lines(/progress/).length + 2, 90_000);
  t.deepEqual(await misplaced(cluster(), job.id, await places(job)), []);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});
