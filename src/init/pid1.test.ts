import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { buildPrograms, builds, childrenOf, program, start, startContainer, until } from './testing.ts';

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

/** Shell text that waits until the test makes the file `go`. */
const gate = 'while [ ! -e go ]; do sleep 0.02; done;';

function stateOf(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.charAt(0) ?? '';
}

for (const build of builds) {
  test(`${build}: the main program's output and exit code are in files`, async (t) => {
    const container = await startContainer(t, build, ['--', 'sh', '-c', `${gate} echo out; echo err >&2; exit 42`]);
    t.false(existsSync(container.file('exit')));
    writeFileSync(container.file('go'), '');
    t.is((await container.ended).code, 42);
    t.deepEqual(['out', 'err', 'exit'].map(container.read), ['out\n', 'err\n', '42\n']);
    t.false(existsSync(container.file('exit.tmp')));
  });

  test(`${build}: a killed main program and one that is absent`, async (t) => {
    const killed = await startContainer(t, build, ['--', 'sh', '-c', `${gate} kill -KILL $$`]);
    writeFileSync(killed.file('go'), '');
    t.is((await killed.ended).code, 137);
    t.is(killed.read('exit'), '137\n');
    const absent = await startContainer(t, build, ['--', 'sh', '-c', `${gate} exec /no/such/program`]);
    writeFileSync(absent.file('go'), '');
    t.is((await absent.ended).code, 127);
    const init = [program(build, 'rankshift-init'), '--address', '127.0.0.1', '--port', `${absent.port}`];
    const argv = [...init, '--secret-file', absent.file('secret'), '--', '/no/such/program'];
    t.like(await start('unshare', ['--pid', '--fork', '--kill-child', ...argv]).ended, {
      code: 127,
      stderr: 'rankshift-init: cannot run /no/such/program: No such file or directory\n',
    });
  });

  test(`${build}: signals reach the main program's group`, async (t) => {
    const names = ['TERM', 'INT', 'HUP', 'USR1', 'USR2', 'QUIT', 'CONT'] as const;
    const traps = names.map((name) => `trap "echo ${name} >> signals" ${name};`).join(' ');
    const container = await startContainer(t, build, [
      '--',
      'sh',
      '-c',
      `${traps} echo ready; while [ ! -e stop ]; do sleep 0.02; done`,
    ]);
    await until(() => existsSync(container.file('out')) && container.read('out') === 'ready\n');
    for (const name of names) {
      process.kill(container.pid, `SIG${name}`);
      await until(() => existsSync(container.file('signals')) && container.read('signals').includes(name));
    }
    t.is(container.read('signals'), names.map((name) => `${name}\n`).join(''));
    await container.rsh(['127.0.0.1', 'touch stop']).ended;
    t.is((await container.ended).code, 0);
  });

  test(`${build}: SIGTSTP stops a program that does not catch it, SIGCONT resumes it`, async (t) => {
    const container = await startContainer(t, build, ['--', 'sleep', '60']);
    const main = childrenOf(container.pid)[0] ?? 0;
    await until(() => readFileSync(`/proc/${main}/comm`, 'utf8') === 'sleep\n');
    process.kill(container.pid, 'SIGTSTP');
    await until(() => stateOf(main) === 'T');
    process.kill(container.pid, 'SIGCONT');
    await until(() => stateOf(main) === 'S');
    process.kill(container.pid, 'SIGTERM');
    t.is((await container.ended).code, 143);
    t.is(container.read('exit'), '143\n');
  });

  test(`${build}: orphans are reaped`, async (t) => {
    const container = await startContainer(t, build);
    await container.rsh(['127.0.0.1', 'for i in 1 2 3 4 5; do (setsid sleep 3 &) ; done']).ended;
    t.is(childrenOf(container.pid).length, 5);
    await until(() => childrenOf(container.pid).length === 0);
  });

  test(`${build}: SIGTERM ends a serving PID 1 at once; what ignores it is killed after 2 s`, async (t) => {
    const idle = await startContainer(t, build);
    process.kill(idle.pid, 'SIGHUP');
    process.kill(idle.pid, 'SIGTERM');
    t.is((await idle.ended).code, 0);
    t.false(existsSync(idle.file('exit')));
    const polite = await startContainer(t, build);
    await polite.rsh(['127.0.0.1', 'setsid sleep 60 &']).ended;
    const politeSince = performance.now();
    process.kill(polite.pid, 'SIGTERM');
    t.is((await polite.ended).code, 0);
    t.true(performance.now() - politeSince < 1900);
    const stubborn = await startContainer(t, build);
    await stubborn.rsh(['127.0.0.1', "(trap '' TERM; setsid sleep 60) > ignored 2>&1 & sleep 0.2"]).ended;
    const since = performance.now();
    process.kill(stubborn.pid, 'SIGTERM');
    t.is((await stubborn.ended).code, 0);
    const took = performance.now() - since;
    t.true(took > 1900 && took < 6000, `${took}`);
  });

  test(`${build}: holds its own descriptors and none that it inherits`, async (t) => {
    const container = await startContainer(t, build);
    const links = readdirSync(`/proc/${container.pid}/fd`).map((fd) => readlinkSync(`/proc/${container.pid}/fd/${fd}`));
    const own = ['/dev/null', container.file('out'), container.file('err'), 'anon_inode:[signalfd]'];
    t.deepEqual(links.slice(0, 4), own);
    t.regex(links[4] ?? '', /^socket:/);
    t.is(links.length, 5);
  });

  test(`${build}: usage`, async (t) => {
    const init = program(build, 'rankshift-init');
    const bad = [
      ['--port', '0'],
      ['--port', '1x'],
      ['--port'],
      ['--nonsense', '1'],
      ['stray'],
      ['--'],
      ['--address', 'h'],
    ];
    for (const argv of bad) {
      const ended = await start(init, argv).ended;
      t.is(ended.code, 2, argv.join(' '));
      t.regex(ended.stderr, /^rankshift-init: .*\nusage: /);
    }
    t.like(await start(init, []).ended, { code: 1, stderr: 'rankshift-init: must be PID 1 of a container\n' });
  });
}
