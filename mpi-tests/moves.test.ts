import test from 'ava';
import { containersAnswer, migrationsAnswer, nodesAnswer, parseAnswer, planAnswer } from './support/answers.ts';
import { endedVerified, submit, submitRun } from './support/job.ts';
import { leftovers } from './support/leftovers.ts';
import { containers, move, nodeOf, request, showMigration, untilState } from './support/move.ts';
import { clearBreakpoint, setBreakpoint, untilHit } from './support/service.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'moves');
const programs = '/opt/rankshift-tests/bin';

test('every container of a job moves, the one with mpirun too, and output and exit code still arrive', async (t) => {
  // Three containers on the nodes n1, n2 and n3: every move makes two of them share a node.
  const job = await submitRun(cluster(), `${programs}/allreduce --seconds 600`, { nodes: 3 });
  await job.untilPrinted(/progress/);
  for (const index of [1, 2, 0]) {
    const before = await nodeOf(cluster(), job.container(index));
    const record = await move(cluster(), job.container(index));
    t.is(record.source, before);
    t.not(record.target, before);
    t.is(await nodeOf(cluster(), job.container(index)), record.target ?? '');
    const seen = job.lines(/progress/).length;
    await job.untilPrinted(/progress/, seen + 1, 90_000);
  }
  t.deepEqual(await job.finish(), endedVerified, job.all);
  // Every line once: nothing of the output was lost or came twice.
  const counts = job.lines(/progress/).map((line) => Number(/"exchanges":(\d+)/.exec(line)?.[1]));
  t.deepEqual(
    counts,
    [...new Set(counts)].sort((a, b) => a - b),
  );
});

test('ten moves of one container, back and forth', async (t) => {
  const job = await submitRun(cluster(), `${programs}/pingpong --seconds 600`);
  await job.untilPrinted(/progress/);
  const first = await nodeOf(cluster(), job.container(1));
  const other = cluster().nodes.find((node) => node !== first && node !== cluster().nodes[0]) ?? '';
  const downtimes: number[] = [];
  const totals: number[] = [];
  for (let i = 0; i < 10; i++) {
    const record = await move(cluster(), job.container(1), { to: i % 2 === 0 ? other : first });
    t.is(record.epoch, i + 1);
    totals.push(record.totalMs ?? Number.NaN);
    downtimes.push(record.result?.downtimeMs ?? Number.NaN);
  }
  t.is(await nodeOf(cluster(), job.container(1)), first);
  t.is((await containers(cluster())).find(({ id }) => id === job.container(1))?.moves, 10);
  t.deepEqual(await job.finish(), endedVerified, job.all);
  t.log(`totals, ms: ${totals.map(Math.round).join(' ')}`);
  t.log(`downtimes, ms: ${downtimes.map(Math.round).join(' ')}`);
});

test('twenty moves in a row lose not one page', async (t) => {
  const job = await submitRun(cluster(), `${programs}/memhog --seconds 600 --mib 48 --dirty-percent 40`);
  await job.untilPrinted(/progress/, 1);
  for (let i = 0; i < 20; i++) await move(cluster(), job.container(i % 2));
  t.deepEqual(await job.finish(), endedVerified, job.all);
  const memory = job.lines(/"event":"memory"/).map((line) => JSON.parse(line) as { rank: number; wrong: number });
  t.deepEqual(
    memory.map(({ wrong }) => wrong),
    [0, 0],
  );
  t.deepEqual(job.lines(/badPage/), []);
});

test('two containers of one job move to one node at once, and one leaves the other alone again', async (t) => {
  const job = await submitRun(cluster(), `${programs}/allreduce --seconds 600`);
  await job.untilPrinted(/progress/);
  const [first, second] = await Promise.all([
    request(cluster(), job.container(0), { to: 'n3' }),
    request(cluster(), job.container(1), { to: 'n3' }),
  ]);
  const done = await Promise.all([first, second].map(({ id }) => untilState(cluster(), id, ['completed', 'refused'])));
  t.deepEqual(
    done.map(({ state }) => state),
    ['completed', 'completed'],
    JSON.stringify(done.map(({ error }) => error)),
  );
  // Two containers of the job on one node now.
  const owners = (await containers(cluster())).filter((one) => one.job === job.id).map(({ owner }) => owner);
  t.deepEqual(owners, ['n3', 'n3']);
  // And one leaves the other alone again.
  await move(cluster(), job.container(0), { to: 'n1' });
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('two ranks in one container move together, with their shared memory', async (t) => {
  const job = await submit(
    cluster(),
    `exec rankshift run --ranks-per-container 2 -- ${programs}/allreduce --seconds 600`,
  );
  await job.untilPrinted(/progress/);
  // /dev/shm of the container holds what the ranks share: this is the case that is meant.
  const shared = await cluster().output('n2', [
    '/bin/sh',
    '-c',
    'for pid in $(pgrep -x allreduce); do grep -c "/dev/shm/.*sm_segment" /proc/$pid/maps; done',
  ]);
  t.regex(shared, /^[1-9]/m, 'no shared memory segment: btl sm is not in use');
  await move(cluster(), job.container(1), { to: 'n3' });
  await move(cluster(), job.container(0), { to: 'n2' });
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('plan changes nothing and names every reason; ps, show, nodes and their --json', async (t) => {
  const job = await submitRun(cluster(), `${programs}/pingpong --seconds 600 --pause-us 1000`);
  await job.untilPrinted(/progress/);
  const container = job.container(1);
  const before = [await containers(cluster()), await leftovers(cluster())];

  const good = await cluster().rankshift(['plan', container, '--to', 'n3', '--json']);
  t.is(good.exitCode, 0);
  const { plan } = parseAnswer(planAnswer, good);
  t.like(plan, { container, source: 'n2', target: 'n3', reasons: [] });
  t.true(plan.memoryBytes > 1_000_000);
  t.true((plan.link?.bytesPerSecond ?? 0) > 1_000_000);
  t.true((plan.link?.roundTripMs ?? 0) > 0);
  const text = await cluster().rankshift(['plan', container]);
  t.regex(text.stdout, /verdict {4}can move/);

  await cluster().output('ctl', ['scontrol', 'update', 'NodeName=n3', 'State=DRAIN', 'Reason=test']);
  try {
    const bad = await cluster().rankshift(['plan', container, '--to', 'n3']);
    t.is(bad.exitCode, 3);
    t.regex(bad.stdout, /refused:\n {2}target-not-available: n3 is .*drain/);
  } finally {
    await cluster().output('ctl', ['scontrol', 'update', 'NodeName=n3', 'State=RESUME']);
  }
  const same = await cluster().rankshift(['plan', container, '--to', 'n2', '--json']);
  t.is(same.exitCode, 3);
  t.deepEqual(
    parseAnswer(planAnswer, same).plan.reasons.map(({ code }) => code),
    ['target-is-source'],
  );
  t.deepEqual([await containers(cluster()), await leftovers(cluster())], before);
  t.deepEqual((await job.ended()) ?? 'runs', 'runs');

  const record = await move(cluster(), container, { to: 'n3' });
  t.deepEqual(
    record.phases.map(({ name }) => name),
    ['queued', 'preflight', 'preparing', 'copying', 'switching', 'finishing', 'completed'],
  );
  t.is(record.requestedBy.name, 'alice');
  t.is(record.waitingFor, null);
  const { downtimeMs, bytes, clock, timeline = [] } = record.result ?? {};
  t.true((downtimeMs ?? 0) > 0 && (downtimeMs ?? 0) < (record.totalMs ?? 0));
  t.true((bytes?.pages ?? 0) > 1_000_000);
  t.is(clock?.policy, 'continuous');
  t.true(Number(clock?.errorBoundNs) > 0 && Number(clock?.errorBoundNs) < 50e6, clock?.errorBoundNs);
  t.true(timeline.length > 5);
  t.true(timeline.every(({ node }) => node === 'n2' || node === 'n3'));
  // What show prints for people has the same figures.
  const shown = await cluster().rankshift(['show', record.id]);
  t.is(shown.exitCode, 0);
  for (const wanted of [
    /state +completed/,
    /n2 -> n3/,
    /downtime +[\d.]+ m?s/,
    /bytes +pages/,
    /clock +continuous/,
    /frozen/,
  ]) {
    t.regex(shown.stdout, wanted);
  }
  t.deepEqual(await showMigration(cluster(), record.id, 'alice'), record);
  const listed = parseAnswer(migrationsAnswer, await cluster().rankshift(['show', '--last', '1', '--json']));
  t.deepEqual(listed.migrations, [record]);

  const ps = await cluster().rankshift(['ps']);
  t.regex(ps.stdout, /^CONTAINER +USER +STATE +NODE/);
  t.regex(ps.stdout, new RegExp(`^${container.replace('.', '\\.')} +alice +running +n3 `, 'm'));
  const bare = await cluster().rankshift(['ps', '--no-header', '--job', String(job.id)]);
  t.is(bare.stdout.trimEnd().split('\n').length, 2);
  t.notRegex(bare.stdout, /CONTAINER/);
  const none = await cluster().rankshift(['ps', '--job', '999999', '--json']);
  t.deepEqual(parseAnswer(containersAnswer, none).containers, []);

  const { nodes } = parseAnswer(nodesAnswer, await cluster().rankshift(['nodes', '--json']));
  t.deepEqual(
    nodes.map(({ name, agentAlive, containers: count }) => [name, agentAlive, count]),
    [
      ['n1', true, 1],
      ['n2', true, 0],
      ['n3', true, 1],
    ],
  );
  t.regex((await cluster().rankshift(['nodes'])).stdout, /^n1 +up +\w+ +1 /m);
});

test('cancel at any point before the commit: the container runs on at its source, the job goes on', async (t) => {
  const job = await submitRun(cluster(), `${programs}/pingpong --seconds 600`);
  await job.untilPrinted(/progress/);
  for (const [where, node] of [
    ['target-preparing', 'n3'],
    ['source-copying', 'n2'],
    ['source-copied', 'n2'],
    ['source-before-freeze', 'n2'],
    ['source-held', 'n2'],
    ['target-gate', 'n3'],
  ] as const) {
    setBreakpoint(cluster(), node, where);
    const { id } = await request(cluster(), job.container(1), { to: 'n3' });
    try {
      await untilHit(cluster(), node, where);
      const cancel = await cluster().rankshift(['cancel', id]);
      t.is(cancel.exitCode, 0, `${where}: ${cancel.stderr}`);
    } finally {
      clearBreakpoint(cluster(), node, where);
    }
    const record = await untilState(cluster(), id, ['cancelled', 'completed', 'rolled-back', 'needs-operator']);
    t.is(record.state, 'cancelled', `${where}: ${JSON.stringify(record.error)}`);
    t.like(record.error, { code: 'E_CANCELLED', container: 'running on source' });
    t.is(await nodeOf(cluster(), job.container(1)), 'n2');
    const seen = job.lines(/progress/).length;
    await job.untilPrinted(/progress/, seen + 2, 90_000);
    const left = (await leftovers(cluster())).filter((one) => one.startsWith('n3:') && !cluster().known.has(one));
    t.deepEqual(left, [], where);
    const late = await cluster().rankshift(['cancel', id]);
    t.is(late.exitCode, 3);
    t.regex(late.stderr, /has ended: cancelled; it is too late/);
  }
  const done = await move(cluster(), job.container(1), { to: 'n3' });
  t.is((await cluster().rankshift(['cancel', done.id])).exitCode, 3);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});
