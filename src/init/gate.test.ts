import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { buildPrograms, builds, program, start, temporaryDirectory, until } from './testing.ts';
import { connectedEnds } from './testing-network.ts';

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

/** Writes into the gate as the agent does: only where a gate is waiting. */
function decide(directory: string, text: string): void {
  const fd = openSync(`${directory}/gate.fifo`, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

for (const build of builds) {
  const node = program(build, 'rankshift-node');

  for (const [decision, code] of [
    ['open', 0],
    ['refuse', 1],
  ] as const) {
    test(`${build}: the gate waits at post-restore for a decision: ${decision}`, async (t) => {
      const directory = temporaryDirectory(t);
      const env = { CRTOOLS_SCRIPT_ACTION: 'post-restore', CRTOOLS_INIT_PID: '4711' };
      const { child, ended } = start('sh', ['-c', `exec ${node} gate ${directory}`], { env });
      t.teardown(() => child.kill('SIGKILL'));
      await until(() => existsSync(`${directory}/gate.ready`));
      t.is(readFileSync(`${directory}/gate.ready`, 'utf8'), '4711\n');
      const fds = `/proc/${child.pid}/fd`;
      await until(() => readdirSync(fds).length === 2);
      t.is(readlinkSync(`${fds}/0`), `${directory}/gate.fifo`);
      t.is(readlinkSync(`${fds}/1`), 'anon_inode:[pidfd]');
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) child.kill(signal);
      decide(directory, 'nonsense\n\nopenopenopenopenopen\nrefused\nope');
      await sleep(100);
      t.is(child.exitCode, null);
      decide(directory, `n it\n${decision}\n`);
      t.is((await ended).code, code);
      t.regex(readFileSync(`${directory}/gate.log`, 'utf8'), /^post-restore \d{19}\n$/);
    });
  }

  for (const [between, script] of [
    ['a shell between them', 'sh -c "$1; exit 9"; exit 8'],
    ['nothing between them', '"$1"; exit 9'],
  ] as const) {
    test(`${build}: the gate, called by its link, ends with CRIU; ${between}`, async (t) => {
      const directory = temporaryDirectory(t);
      symlinkSync(node, `${directory}/rankshift-gate`);
      const env = { CRTOOLS_SCRIPT_ACTION: 'post-restore', CRTOOLS_INIT_PID: '1' };
      const criu = start('sh', ['-c', script, 'criu', `${directory}/rankshift-gate`], { env });
      await until(() => existsSync(`${directory}/gate.ready`));
      decide(directory, 'nonsense\n');
      criu.child.kill('SIGKILL');
      await until(() => {
        try {
          decide(directory, 'nonsense\n');
          return false;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code === 'ENXIO';
        }
      });
      t.pass();
    });
  }

  test(`${build}: every other action is logged and passes`, async (t) => {
    const directory = temporaryDirectory(t);
    const actions = ['pre-restore', 'setup-namespaces', 'network-unlock', 'pre-resume', 'post-resume'];
    for (const action of actions) {
      const ended = await start(node, ['gate', directory], { env: { CRTOOLS_SCRIPT_ACTION: action } }).ended;
      t.like(ended, { code: 0, stdout: '', stderr: '' });
    }
    const lines = readFileSync(`${directory}/gate.log`, 'utf8').trimEnd().split('\n');
    t.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      actions,
    );
    const times = lines.map((line) => BigInt(line.split(' ')[1] ?? ''));
    t.deepEqual(
      times,
      times.toSorted((a, b) => (a < b ? -1 : 1)),
    );
  });

  test(`${build}: pre-resume wakes the peers and does not wait for that`, async (t) => {
    const directory = temporaryDirectory(t);
    const ends = await connectedEnds(t);
    for (let i = 0; i < 10; i++) await ends.ask('echo');
    await ends.hold();
    await ends.ask('send');
    writeFileSync(`${directory}/wake.list`, `${await ends.ask('connection')}\n`);
    writeFileSync(`${directory}/wake.netns`, `${ends.movedNamespace}\n`);
    await ends.ask('restore');
    await sleep(1900);
    await ends.release();
    const released = process.hrtime.bigint();
    const ended = await start(node, ['gate', directory], { env: { CRTOOLS_SCRIPT_ACTION: 'pre-resume' } }).ended;
    const received = BigInt((await ends.ask('receive')).replace('received ', ''));
    t.like(ended, { code: 0, stdout: '', stderr: '' });
    const stallMs = Number(received - released) / 1e6;
    // By itself it would come 1.1 s after the release.
    t.true(stallMs < 800, `${stallMs}`);
  });

  test(`${build}: usage of the gate`, async (t) => {
    const directory = temporaryDirectory(t);
    t.is((await start(node, ['gate', directory]).ended).code, 2);
    const env = { CRTOOLS_SCRIPT_ACTION: 'post-restore' };
    t.is((await start(node, ['gate'], { env }).ended).code, 2);
    t.is((await start(node, ['gate', 'relative'], { env }).ended).code, 2);
    t.is((await start(node, ['gate', `${directory}/absent`], { env }).ended).code, 1);
    writeFileSync(`${directory}/gate.fifo`, 'open\n');
    t.is((await start(node, ['gate', directory], { env }).ended).code, 1);
  });
}
