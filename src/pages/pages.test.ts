import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Duplex, PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { cgroupMount, freeze, processesOf, thaw } from '../container/cgroup.ts';
import { type Build, buildPrograms, builds, program } from '../init/testing.ts';
import { run } from '../process/run.ts';

/** Programs of the tests, built once. */
const tools = mkdtempSync('/tmp/rankshift-pages-tools-');
const stress = join(tools, 'stress');
const lazyClient = join(tools, 'lazy-client');

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];
  await run('gcc', [...flags, '-o', stress, 'src/pages/stress.c']);
  await run('gcc', [...flags, '-o', lazyClient, 'src/pages/lazy-client.c']);
});
test.after.always(() => rmSync(tools, { recursive: true, force: true }));

/** A program with descriptor 3 as a socket, its lines of output, and its end. */
function start(t: ExecutionContext, file: string, args: readonly string[]) {
  const child: ChildProcess = spawn(file, [...args], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const { stdin, stdout } = child;
  const socket = child.stdio[3] as Duplex;
  if (stdin === null || stdout === null) throw new Error('no pipes');
  for (const stream of [stdin, socket]) stream.on('error', () => undefined);
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stderr }));
  });
  const line = async () => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${file} ended: ${(await ended).stderr}`);
    return value as string;
  };
  const ask = async (command: string): Promise<Record<string, number | string>> => {
    stdin.write(`${command}\n`);
    for (;;) {
      const answer = JSON.parse(await line());
      // A long round tells how far it is.
      if (!('sentBytes' in answer)) return answer;
    }
  };
  return { child, stdin, socket, line, ask, ended };
}

function directory(t: ExecutionContext, name: string): string {
  const path = mkdtempSync(`/dev/shm/rankshift-pages-${name}-`);
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A program in a cgroup of its own; its first line. */
async function startInCgroup(t: ExecutionContext, name: string, command: string) {
  const mount = await cgroupMount();
  if (mount === null) throw new Error('no cgroup2');
  const cgroup = join(mount.point, `rankshift-pages-test-${process.pid}-${name}`);
  mkdirSync(cgroup);
  const program = start(t, 'sh', ['-c', `echo $$ > ${cgroup}/cgroup.procs; exec ${command}`]);
  t.teardown(async () => {
    writeFileSync(join(cgroup, 'cgroup.kill'), '1');
    while ((await processesOf(cgroup)).length > 0) await sleep(5);
    rmdirSync(cgroup);
  });
  return { ...program, cgroup, first: await program.line() };
}

async function startStress(t: ExecutionContext, seed: number) {
  const program = await startInCgroup(t, String(seed), `${stress} 60 ${seed}`);
  t.is(program.first, 'ready');
  /** It has found nothing wrong with its memory, up to the end. */
  const endsWell = async () => {
    program.child.kill('SIGTERM');
    t.deepEqual(await program.ended, { code: 0, stderr: '' });
  };
  return { ...program, endsWell };
}

const key = 'ab'.repeat(32);
let leftBehind = 0;

/** A frozen program whose pages the target has not got, all or but for rounds, and the target. */
async function leaveBehind(
  t: ExecutionContext,
  pages: string,
  { rounds, rate = '' }: { rounds: number; rate?: string },
) {
  const [store, work] = [directory(t, 'store'), directory(t, 'work')];
  const held = await startInCgroup(t, `left-${leftBehind++}`, `${lazyClient} hold`);
  const target = start(t, pages, ['take', store, work, '/nonexistent', '127.0.0.1', '0', '0', '127.0.0.1']);
  target.stdin.write(`${key}\n`);
  const source = start(t, pages, ['source', held.cgroup, '127.0.0.1', await target.line()]);
  source.stdin.write(`${key}\n`);
  t.is(await source.line(), 'ready');
  await source.ask('arm');
  for (let round = 0; round < rounds; round++) await source.ask('round');
  await freeze(held.cgroup);
  const left = Number((await source.ask(`leave${rate}`))['leftPages']);
  t.true(rounds > 0 ? left < 100 : left > 6000, String(left));
  t.regex(await target.line(), /"listening"/);
  return { store, work, held, target, source };
}

async function checksums(t: ExecutionContext, build: Build, store: string): Promise<unknown> {
  return JSON.parse(await start(t, program(build, 'rankshift-pages'), ['checksum', store]).line());
}

for (const build of builds) {
  const pages = program(build, 'rankshift-pages');

  test.serial(`${build}: a frozen program compares equal with itself, and not after it has run on`, async (t) => {
    t.timeout(60_000);
    const running = await startStress(t, build === 'bin' ? 31 : 32);
    const file = join(directory(t, 'sums'), 'sums');
    const compare = async () => {
      const { stdout } = await run(pages, ['compare', running.cgroup, file]);
      const lines = stdout.trim().split('\n');
      return { lines, ...JSON.parse(lines.pop() ?? '') };
    };
    await freeze(running.cgroup);
    await run(pages, ['sum', running.cgroup, file], { input: '' });
    const same = await compare();
    t.deepEqual([same.differing, same.lines], [0, []]);
    t.true(same.pages > 1000 && same.processes >= 1);
    await thaw(running.cgroup);
    await sleep(200);
    await freeze(running.cgroup);
    const { exitCode, stdout, stderr } = await run(pages, ['compare', running.cgroup, file], { allow: 'any' });
    // Where a process has ended meanwhile it says that instead.
    if (exitCode === 0) t.regex(stdout, /^process \d+, .*, address 0x[0-9a-f]+: (another content|zeros on|the target)/);
    else t.regex(stderr, /the target has no process/);
    await thaw(running.cgroup);
    await running.endsWell();
  });

  test.serial(`${build}: checksums that were cut short compare with nothing`, async (t) => {
    const running = await startStress(t, build === 'bin' ? 33 : 34);
    const file = join(directory(t, 'sums'), 'sums');
    await freeze(running.cgroup);
    await run(pages, ['sum', running.cgroup, file], { input: '' });
    const bytes = readFileSync(file);
    for (const length of [0, 10, 24, 40, bytes.length - 8]) {
      writeFileSync(file, bytes.subarray(0, length));
      const { exitCode, stderr } = await run(pages, ['compare', running.cgroup, file], { allow: 'any' });
      t.is(exitCode, 1);
      t.regex(stderr, /cut short|holds no checksums|the source had/);
    }
    await thaw(running.cgroup);
    await running.endsWell();
  });

  test.serial(
    `${build}: what is stored after rounds over a restless program is what it had when it was frozen`,
    async (t) => {
      t.timeout(60_000);
      const running = await startStress(t, build === 'bin' ? 1 : 2);
      const store = directory(t, 'store');
      const source = start(t, pages, ['source', running.cgroup]);
      const target = start(t, pages, ['store', store]);
      source.socket.pipe(target.socket);
      const armed = await source.ask('arm');
      t.true(Number(armed['processes']) >= 1);
      const rate = await source.ask('sample 100');
      t.true(Number(rate['writtenBytes']) > 0 && Number(rate['writtenBytes']) <= Number(rate['presentBytes']));
      const first = await source.ask('round');
      t.true(Number(first['pages']) > 1000 && Number(first['zeroPages']) > 0);
      for (let round = 2; round <= 10; round++) {
        await sleep(100);
        t.is((await source.ask('round'))['round'], round);
      }
      await freeze(running.cgroup);
      const last = await source.ask('final');
      const frozen = await source.ask('checksum');
      const stored = JSON.parse(await target.line());
      t.is((await target.ended).code, 0);
      t.is(stored.checksum, last['checksum']);
      t.deepEqual(await checksums(t, build, store), frozen);
      t.true((frozen['processes'] as unknown as unknown[]).length >= 1);
      await thaw(running.cgroup);
      await source.ask('disarm');
      t.is((await source.ended).code, 0);
      await running.endsWell();
    },
  );

  for (const when of ['early', 'late']) {
    test.serial(`${build}: a restored process that reads, drops, moves and forks ${when} has every page`, async (t) => {
      const [store, work] = [directory(t, 'store'), directory(t, 'work')];
      await run(lazyClient, ['make', store]);
      const server = start(t, pages, ['serve', store, work, '/nonexistent']);
      t.regex(await server.line(), /"listening"/);
      const { stdout } = await run(lazyClient, ['run', work, when], { timeoutMs: 20_000 });
      t.is(stdout.trim(), 'good');
      t.regex(await server.line(), /"populated"/);
      t.true(existsSync(join(store, 'pages-7')));
      server.stdin.write('free\n');
      t.deepEqual(await server.ended, { code: 0, stderr: '' });
      t.deepEqual(readdirSync(store), []);
    });
  }

  for (const [rounds, when] of [
    [0, 'early'],
    [0, 'late'],
    [1, 'late'],
  ] as const) {
    test.serial(`${build}: pages left behind come after ${rounds} rounds, those needed ${when} first`, async (t) => {
      t.timeout(60_000);
      const { store, work, held, target, source } = await leaveBehind(t, pages, {
        rounds,
        rate: rounds === 0 ? ` ${16 << 20}` : '',
      });
      // Nobody is there any more to whom the source could listen.
      source.stdin.end();
      const { stdout } = await run(lazyClient, ['run', work, when, held.first], { timeoutMs: 20_000 });
      t.is(stdout.trim(), 'good');
      target.stdin.write('free\n');
      const { code, stderr } = await target.ended;
      t.deepEqual({ code, stderr }, { code: 0, stderr: '' });
      t.is((await source.ended).code, 0);
      t.deepEqual(
        readdirSync(store).filter((name) => name !== 'whole'),
        [],
      );
    });
  }

  test.serial(`${build}: until the source is let go, nothing of what was left behind is pushed`, async (t) => {
    const { work, held, target, source } = await leaveBehind(t, pages, { rounds: 0 });
    const pushed = async () => Number(JSON.parse(await source.line())['pages']);
    t.is(await pushed(), 0);
    t.is(await pushed(), 0);
    source.stdin.end();
    const { stdout } = await run(lazyClient, ['run', work, 'early', held.first], { timeoutMs: 20_000 });
    t.is(stdout.trim(), 'good');
    target.stdin.end();
    t.is((await target.ended).code, 0);
    t.is((await source.ended).code, 0);
  });

  test.serial(`${build}: a source that dies with pages is told at once`, async (t) => {
    const { work, held, target, source } = await leaveBehind(t, pages, { rounds: 0, rate: ` ${1 << 20}` });
    const client = start(t, lazyClient, ['run', work, 'late', held.first]);
    await sleep(200);
    source.child.kill('SIGKILL');
    const { code, stderr } = await target.ended;
    t.is(code, 1);
    t.regex(stderr, /lacks memory that nobody has/);
    t.true(existsSync(join(work, 'lost')));
    client.child.kill('SIGKILL');
  });

  test.serial(`${build}: pages that were called off are not sent, and a second restore gets all`, async (t) => {
    const called = await leaveBehind(t, pages, { rounds: 0, rate: ` ${1 << 20}` });
    called.source.stdin.write('stop\n');
    t.is((await called.source.ended).code, 0);
    t.is((await called.target.ended).code, 1);
    t.false(existsSync(join(called.work, 'lost')));
    const { work, held, target, source } = await leaveBehind(t, pages, { rounds: 0, rate: ` ${16 << 20}` });
    source.stdin.end();
    const client = start(t, lazyClient, ['run', work, 'early', held.first]);
    await sleep(100);
    client.child.kill('SIGKILL');
    await client.ended;
    const again = await run(lazyClient, ['run', work, 'late', held.first], { timeoutMs: 20_000 }).catch(
      async (error: Error) => ({ stdout: `${error.message}: ${(await target.ended).stderr}` }),
    );
    t.is(again.stdout.trim(), 'good');
    target.stdin.end();
    t.is((await target.ended).code, 0);
  });

  test.serial(
    `${build}: the store stays whole until it may be freed, and a restore that breaks off is an error`,
    async (t) => {
      const [store, work] = [directory(t, 'store'), directory(t, 'work')];
      await run(lazyClient, ['make', store]);
      const before = await checksums(t, build, store);
      const server = start(t, pages, ['serve', store, work, '/nonexistent']);
      await server.line();
      server.stdin.write('populate\n');
      const client = start(t, lazyClient, ['run', work, 'late']);
      await sleep(20);
      client.child.kill('SIGKILL');
      await client.ended;
      server.stdin.end();
      const { code, stderr } = await server.ended;
      t.true(code === 0 || (code === 1 && /ended before it was complete/.test(stderr)), stderr);
      t.deepEqual(await checksums(t, build, store), before);
    },
  );

  test.serial(`${build}: a stream that is cut, changed or repeated is refused`, async (t) => {
    t.timeout(60_000);
    const running = await startStress(t, build === 'bin' ? 3 : 4);
    const source = start(t, pages, ['source', running.cgroup]);
    const recorded: Buffer[] = [];
    const copy = new PassThrough();
    source.socket.pipe(copy).on('data', (data: Buffer) => recorded.push(data));
    await source.ask('arm');
    await source.ask('round');
    await freeze(running.cgroup);
    await source.ask('final');
    source.child.kill('SIGKILL');
    await source.ended;
    await thaw(running.cgroup);
    const good = Buffer.concat(recorded);
    const replay = async (bytes: Buffer) => {
      const target = start(t, pages, ['store', directory(t, 'replay')]);
      target.socket.end(bytes);
      return await target.ended;
    };
    t.is((await replay(good)).code, 0);
    const flipped = Buffer.from(good);
    flipped[good.length >> 1] = (flipped[good.length >> 1] ?? 0) ^ 16;
    const ends = [
      [good.subarray(0, good.length - 1), /ended after \d+ records, before its end mark/],
      [good.subarray(0, good.length >> 1), /before its end mark/],
      [Buffer.alloc(0), /ended after 0 records/],
      [flipped, /corrupted at byte \d+/],
      [Buffer.concat([good.subarray(0, 40), good.subarray(0, 40), good.subarray(40)]), /wrong checksum/],
      [Buffer.from('GET / HTTP/1.1\r\nHost: example\r\n\r\n'), /no record of pages/],
    ] as const;
    for (const [bytes, message] of ends) {
      const { code, stderr } = await replay(bytes);
      t.is(code, 1);
      t.regex(stderr, message);
    }
  });

  test.serial(`${build}: a tracker that is killed leaves the program as it was`, async (t) => {
    t.timeout(60_000);
    const running = await startStress(t, build === 'bin' ? 5 : 6);
    for (let i = 0; i < 12; i++) {
      const source = start(t, pages, ['source', running.cgroup]);
      source.socket.resume();
      source.stdin.write('arm\nround\nround\nround\n');
      // Not while it stops a thread: that is a third of a millisecond after `arm`, and the only time it must not die.
      await source.line();
      await sleep(i * 7);
      source.child.kill('SIGKILL');
      await source.ended;
    }
    await running.endsWell();
  });
}

test.serial('commands that cannot be are refused', async (t) => {
  const pages = program('sanitize', 'rankshift-pages');
  const empty = directory(t, 'empty');
  writeFileSync(join(empty, 'cgroup.procs'), '');
  for (const [input, message] of [
    ['round\n', /not one at this time: round/],
    ['nonsense\n', /not a command/],
    ['arm\nsample\n', /time in ms/],
    ['arm\nround x\n', /bytes per second: x/],
  ] as const) {
    const source = start(t, pages, ['source', empty]);
    source.stdin.end(input);
    const { code, stderr } = await source.ended;
    t.is(code, 2);
    t.regex(stderr, message);
  }
  const gone = start(t, pages, ['source', join(empty, 'gone')]);
  gone.stdin.end('arm\n');
  t.regex((await gone.ended).stderr, /cannot read the processes of/);
  const used = directory(t, 'used');
  await run(lazyClient, ['make', used]);
  t.regex((await start(t, pages, ['store', used]).ended).stderr, /holds pages already/);
  t.true(readFileSync(join(used, 'keep-7')).length > 0);
});
