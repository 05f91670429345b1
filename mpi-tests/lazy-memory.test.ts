import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { run } from '../src/process/run.ts';
import { configure } from './faults/second-controller.ts';
import { endedVerified, submitRun } from './support/job.ts';
import { move, request, showMigration, untilState } from './support/move.ts';
import { clearBreakpoint, killService, setBreakpoint, untilHit } from './support/service.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

/** Memory that comes after the container: who dies then, and what moves where a kernel cannot do it. */
const cluster = useCluster(test, 'lazy');
const memhog = '/opt/rankshift-tests/bin/memhog';

/** Process ids, inside the node, of the page servers: the guard first, then the one that fills in. */
async function pageServers(node: string): Promise<number[]> {
  const { stdout } = await cluster().testbed.exec(node, ['pgrep', '-f', 'rankshift-pages serve'], { allow: 'any' });
  return stdout.split('\n').filter(Boolean).map(Number);
}

/** A move that stands at its gate with a page server that does not work. */
async function moveWithStoppedServer() {
  const job = await submitRun(cluster(), `${memhog} --seconds 3600 --mib 64 --step-ms 20`);
  await job.untilPrinted(/"event":"progress"/, 2);
  setBreakpoint(cluster(), 'n3', 'target-gate');
  const { id } = await request(cluster(), job.container(1), { to: 'n3' });
  await untilHit(cluster(), 'n3', 'target-gate');
  const servers = await pageServers('n3');
  return { job, id, servers };
}

// Twenty of each, with other programs too: npm run proof.
for (const [strategy, count] of [
  ['pre-copy', 10],
  ['stop-and-copy', 5],
] as const) {
  test(`${strategy}: ${count} moves of a rank that writes all over its memory lose not one page`, async (t) => {
    t.timeout(480_000);
    const job = await submitRun(cluster(), `${memhog} --seconds 3600 --mib 128 --step-ms 5 --dirty-percent 20`);
    await job.untilPrinted(/"event":"progress"/, 2);
    const downtimes: number[] = [];
    for (let i = 0; i < count; i++) {
      const { result } = await move(cluster(), job.container(1), { strategy, more: i % 5 === 4 ? ['--verify'] : [] });
      downtimes.push(Math.round(result?.downtimeMs ?? 0));
      if (i % 5 === 4) t.true((result?.verified?.pages ?? 0) > 128 * 256, JSON.stringify(result?.verified));
    }
    t.log(`downtimes, ms: ${downtimes.join(' ')}`);
    t.deepEqual(await job.finish(), endedVerified);
  });
}

test('a program that maps, unmaps, forks, moves and writes at random finds its memory right after every move', async (t) => {
  t.timeout(480_000);
  const program = join(cluster().testbed.paths.homeDir, 'alice', 'stress');
  await run('gcc', ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-static', '-pthread', '-o', program, 'src/pages/stress.c']);
  const job = await submitRun(cluster(), '/home/alice/stress 400 7');
  await job.untilPrinted(/ready/, 2);
  let moves = 0;
  let verified = 0;
  for (const until = Date.now() + 50_000; Date.now() < until; moves++) {
    const more = moves % 10 < 2 ? ['--verify'] : [];
    const { result } = await move(cluster(), job.container(moves % 2), { more }).catch((error: Error) => {
      throw new Error(`move ${moves + 1}: ${error.message}; the job said: ${job.all.slice(-4000)}`);
    });
    if (result?.verified != null) verified++;
  }
  t.log(`${moves} moves, of ${verified} of them every page compared`);
  t.true(verified >= 2);
  t.like(await job.finish(), { state: 'COMPLETED', exitCode: 0, signal: 0 }, job.all);
  // Its children that start it anew say so too.
  t.true(job.lines(/^good$/).length >= 2);
});

for (const strategy of ['pre-copy', 'stop-and-copy'] as const) {
  test(`${strategy}: one wrong byte in the store is found by --verify, and the container runs on at its source`, async (t) => {
    t.timeout(300_000);
    const job = await submitRun(cluster(), `${memhog} --seconds 3600 --mib 64 --step-ms 20`);
    await job.untilPrinted(/"event":"progress"/, 2);
    setBreakpoint(cluster(), 'n3', 'target-armed');
    const { id } = await request(cluster(), job.container(1), { to: 'n3', strategy, more: ['--verify'] });
    await untilHit(cluster(), 'n3', 'target-armed');
    await damage('n3', `/var/lib/rankshift/migrations/${id}/images/store/pages-*`);
    clearBreakpoint(cluster(), 'n3', 'target-armed');
    const { state, error } = await untilState(cluster(), id, ['completed', 'rolled-back']);
    t.is(state, 'rolled-back');
    t.like(error, { code: 'E_VERIFY', container: 'running on source' });
    t.regex(error?.message ?? '', /1 of \d+ pages differ .* process \d+, .*, address 0x[0-9a-f]+: another content/);
    await move(cluster(), job.container(1), { strategy, more: ['--verify'] });
    t.deepEqual(await job.finish(), endedVerified);
  });
}

/** Changes a byte in the middle of the data of the largest of the files. */
async function damage(node: string, files: string): Promise<void> {
  const change = `
my ($file) = sort { (stat $b)[12] <=> (stat $a)[12] } glob("${files}");
open(my $f, "+<", $file) or die "$file: $!";
my $data = sysseek($f, 0, 3) or die "no data: $!"; # SEEK_DATA
my $at = 0; my $best = 0;
while (defined($data)) { # the longest run of data is memory of the program
  my $hole = sysseek($f, $data, 4);
  if ($hole - $data > $best) { $best = $hole - $data; $at = $data + ($best >> 1); }
  $data = sysseek($f, $hole, 3);
}
sysseek($f, $at, 0); sysread($f, my $byte, 1); sysseek($f, $at, 0);
syswrite($f, chr(ord($byte) ^ 1)) == 1 or die $!;`;
  await cluster().output(node, ['perl', '-e', change]);
}

test('a page server that is killed takes the container with it, never lets it run on without its memory', async (t) => {
  t.timeout(300_000);
  const { job, id, servers } = await moveWithStoppedServer();
  t.is(servers.length, 2);
  const [, worker = 0] = servers;
  await cluster().output('n3', ['kill', '-STOP', String(worker)]);
  clearBreakpoint(cluster(), 'n3', 'target-gate');
  await untilState(cluster(), id, ['finishing', 'completed']);
  await sleep(500);
  await cluster().output('n3', ['kill', '-KILL', String(worker)]);
  const end = await job.untilEnded(90_000);
  t.is(end.state, 'FAILED', job.all);
  t.regex(job.stderr, /container \d+\.1 was lost on n3/);
  t.notRegex(job.all, /VERIFICATION/);
  const record = await untilState(cluster(), id, ['completed', 'lost', 'rolled-back', 'needs-operator']);
  t.is(record.state, 'lost');
  t.is(record.error?.code, 'E_LOST');
});

test('an agent that is killed while memory is filled in: the server works on, the move ends well', async (t) => {
  t.timeout(300_000);
  const { job, id, servers } = await moveWithStoppedServer();
  const [, worker = 0] = servers;
  await cluster().output('n3', ['kill', '-STOP', String(worker)]);
  clearBreakpoint(cluster(), 'n3', 'target-gate');
  await untilState(cluster(), id, ['finishing']);
  await killService(cluster(), 'n3', 'agent');
  await sleep(1500);
  t.deepEqual(await pageServers('n3'), servers);
  t.is((await showMigration(cluster(), id)).state, 'finishing');
  await cluster().output('n3', ['kill', '-CONT', String(worker)]);
  const record = await untilState(cluster(), id, ['completed', 'rolled-back', 'needs-operator']);
  t.is(record.state, 'completed');
  await until('the server has ended', async () => (await pageServers('n3')).length === 0);
  t.deepEqual(await job.finish(), endedVerified);
});

test('limits: a downtime that cannot be kept is refused, rounds keep to the bandwidth, and a copy is called off at once', async (t) => {
  t.timeout(300_000);
  const job = await submitRun(cluster(), `${memhog} --seconds 3600 --mib 64 --step-ms 20`);
  await job.untilPrinted(/"event":"progress"/, 2);
  const container = job.container(1);
  await move(cluster(), container);
  const plan = (...options: string[]) => cluster().rankshift(['plan', container, ...options]);
  const refused = await plan('--max-downtime', '1ms');
  t.is(refused.exitCode, 3, refused.stdout);
  t.regex(refused.stdout, /max-downtime: a downtime of \d+ ms is predicted, more than 1 ms/);
  t.is((await plan('--max-downtime', '1ms', '--force')).exitCode, 0);
  t.is((await plan('--max-downtime', 'soon')).exitCode, 2);

  const { result } = await move(cluster(), container, { strategy: 'pre-copy', more: ['--bandwidth', '20M'] });
  const [first] = result?.copy?.rounds ?? [];
  t.true((first?.bytes ?? 0) > 60 * 2 ** 20);
  const rate = (first?.bytes ?? 0) / (first?.ms ?? 1) / 1000;
  t.true(rate > 3 && rate < 23, `${rate} MB/s`);

  const { id } = await request(cluster(), container, { strategy: 'pre-copy', more: ['--bandwidth', '5M'] });
  await untilState(cluster(), id, ['copying']);
  await sleep(1500);
  const before = performance.now();
  t.is((await cluster().rankshift(['cancel', id])).exitCode, 0);
  t.is((await untilState(cluster(), id, ['cancelled', 'completed', 'rolled-back'])).state, 'cancelled');
  t.log(`called off after ${Math.round(performance.now() - before)} ms`);
  t.true(performance.now() - before < 10_000);
  t.deepEqual(await job.finish(), endedVerified);
});

test('a target that cannot fill in memory lazily takes the container in one piece', async (t) => {
  t.timeout(300_000);
  const file = cluster().testbed.path('n3', '/etc/rankshift/rankshift.conf');
  const before = readFileSync(file, 'utf8');
  configure(cluster(), 'LazyMemory', 'no', 'n3');
  await killService(cluster(), 'n3', 'agent');
  await cluster().untilReady();
  const job = await submitRun(cluster(), `${memhog} --seconds 3600 --mib 64 --step-ms 20`);
  await job.untilPrinted(/"event":"progress"/, 2);
  for (let i = 0; i < 4; i++) {
    const { plan, result } = await move(cluster(), job.container(1), { more: i < 2 ? ['--verify'] : [] });
    t.is(result?.verified === null, i >= 2);
    t.is(plan?.lazy, false);
    t.is(plan?.strategy, 'stop-and-copy');
    t.is(result?.copy, null);
  }
  const refused = await cluster().rankshift(['plan', job.container(1), '--strategy', 'pre-copy'], { user: 'alice' });
  t.is(refused.exitCode, 3);
  t.regex(refused.stdout, /no-pre-copy: .* n3/);
  t.deepEqual(await job.finish(), endedVerified);
  configure(cluster(), 'LazyMemory', null, 'n3');
  t.is(readFileSync(file, 'utf8'), before);
});
