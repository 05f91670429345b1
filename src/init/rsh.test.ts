import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { buildPrograms, builds, childrenOf, program, start, startContainer, until } from './testing.ts';

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

for (const build of builds) {
  test(`${build}: relays output and exit code`, async (t) => {
    const container = await startContainer(t, build);
    const both = await container.rsh(['127.0.0.1', 'echo', 'one  two', '>&2;', 'echo three; exit 7']).ended;
    t.like(both, { code: 7, stdout: 'three\n', stderr: 'one two\n' });
    t.like(await container.rsh(['127.0.0.1', 'kill -9 $$']).ended, { code: 137 });
    t.like(await container.rsh(['127.0.0.1', 'cat; readlink /proc/self/fd/0']).ended, { stdout: '/dev/null\n' });
    t.like(await container.rsh(['127.0.0.1', 'pwd']).ended, { code: 0, stdout: `${container.directory}\n` });
    t.like(await container.rsh(['-x', '-l', 'me', '-oA=b', 'me@127.0.0.1', 'echo', 'hi']).ended, { stdout: 'hi\n' });
  });

  test(`${build}: relays more than any buffer holds, to a slow reader too`, async (t) => {
    const container = await startContainer(t, build);
    const text = 'i=0; while [ $i -lt 40000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done';
    const slow = container.rsh(['127.0.0.1', text]);
    slow.child.stdout?.pause();
    await sleep(500);
    slow.child.stdout?.resume();
    const ended = await slow.ended;
    t.is(ended.code, 0);
    t.is(ended.stdout.length, 40_000 * 41);
  });

  test(`${build}: the shell's end is the end, whoever still holds its output`, async (t) => {
    const container = await startContainer(t, build);
    const ended = await container.rsh(['127.0.0.1', 'sleep 60 & echo started; exit 3']).ended;
    t.like(ended, { code: 3, stdout: 'started\n' });
    t.true(ended.ms < 30_000);
    t.is(childrenOf(container.pid).length, 1);
  });

  test(`${build}: a client that goes away hangs up on its command`, async (t) => {
    const container = await startContainer(t, build);
    const client = container.rsh(['127.0.0.1', 'trap "echo gone > gone; exit" HUP; echo ready; sleep 60 & wait']);
    await new Promise((resolve) => client.child.stdout?.once('data', resolve));
    client.child.kill('SIGKILL');
    await until(() => existsSync(container.file('gone')) && container.read('gone') === 'gone\n');
    await until(() => childrenOf(container.pid).length === 0);
    t.pass();
  });

  test(`${build}: a wrong secret runs nothing`, async (t) => {
    const container = await startContainer(t, build);
    writeFileSync(container.file('wrong'), 'fedcba9876543210fedcba9876543210');
    const ended = await container.rsh(['127.0.0.1', 'touch ran'], { RANKSHIFT_SECRET_FILE: container.file('wrong') })
      .ended;
    t.is(ended.code, 255);
    t.regex(ended.stderr, /127\.0\.0\.1 refused the command: wrong secret/);
    t.false(existsSync(container.file('ran')));
  });

  test(`${build}: an impostor without the secret is not believed`, async (t) => {
    const impostor = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(Buffer.concat([Buffer.from('RSHIFT1\n'), Buffer.alloc(32)]));
      socket.once('data', () => socket.write(Buffer.concat([Buffer.from('A\0\0\0\x20'), Buffer.alloc(32, 7)])));
    });
    await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve));
    t.teardown(() => impostor.close());
    const container = await startContainer(t, build);
    const address = impostor.address();
    const port = typeof address === 'object' && address !== null ? `${address.port}` : '';
    const ended = await container.rsh(['127.0.0.1', 'true'], { RANKSHIFT_RSH_PORT: port }).ended;
    t.is(ended.code, 255);
    t.regex(ended.stderr, /does not know the job's secret/);
  });

  test(`${build}: fifty launches at a time`, async (t) => {
    t.timeout(120_000);
    const container = await startContainer(t, build);
    const launches = Array.from({ length: 50 }, (_, i) =>
      container.rsh(['127.0.0.1', `sleep 0.5; echo ${i}; exit ${i}`]),
    );
    for (const [i, launch] of launches.entries()) t.like(await launch.ended, { code: i, stdout: `${i}\n` });
    await until(() => childrenOf(container.pid).length === 0);
  });

  test(`${build}: names come from /etc/hosts, and what cannot be reached is said`, async (t) => {
    t.timeout(60_000);
    const container = await startContainer(t, build);
    t.like(await container.rsh(['localhost', 'echo hi']).ended, { code: 0, stdout: 'hi\n' });
    const unknown = await container.rsh(['no-such-container', 'true']).ended;
    t.is(unknown.code, 255);
    t.regex(unknown.stderr, /no-such-container is no IPv4 address and not in \/etc\/hosts/);
    const closed = await container.rsh(['127.0.0.1', 'true'], { RANKSHIFT_RSH_PORT: '1' }).ended;
    t.is(closed.code, 255);
    t.regex(closed.stderr, /cannot reach 127\.0\.0\.1 port 1 within 10 s: Connection refused/);
    t.true(closed.ms > 9000 && closed.ms < 15_000);
  });

  test(`${build}: usage`, async (t) => {
    const init = program(build, 'rankshift-init');
    t.is((await start(init, [], { argv0: 'rsh' }).ended).code, 2);
    t.is((await start(init, ['host'], { argv0: 'rsh' }).ended).code, 2);
    t.is((await start(init, ['h', 'true'], { argv0: 'rsh', env: { RANKSHIFT_RSH_PORT: '0x1' } }).ended).code, 2);
    const absent = await start(init, ['h', 'true'], { argv0: 'rsh', env: { RANKSHIFT_SECRET_FILE: '/absent' } }).ended;
    t.like(absent, { code: 255, stderr: 'rsh: cannot use the secret /absent: No such file or directory\n' });
  });
}
