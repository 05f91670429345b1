import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { buildPrograms, builds, program, start, temporaryDirectory } from './testing.ts';
import { connectedEnds, type Ends } from './testing-network.ts';

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

const nowNs = () => process.hrtime.bigint();

/** A byte is lost to a hold while the moved end is restored; milliseconds from the release to the byte's arrival. */
async function stallAfterHold(ends: Ends, directory: string, holdMs: number, wake: string | undefined) {
  for (let i = 0; i < 10; i++) await ends.ask('echo');
  await ends.hold();
  await ends.ask('send');
  writeFileSync(`${directory}/wake.list`, `${await ends.ask('connection')}\n`);
  await ends.ask('restore');
  await sleep(holdMs);
  const released = nowNs();
  await ends.release();
  const waking = wake === undefined ? undefined : start(wake, ['wake', ends.movedNamespace, `${directory}/wake.list`]);
  const received = BigInt((await ends.ask('receive')).replace('received ', ''));
  const ended = await waking?.ended;
  return { stallMs: Number(received - released) / 1e6, ended };
}

for (const build of builds) {
  const node = program(build, 'rankshift-node');

  test.serial(`${build}: the wake makes a peer retransmit at once`, async (t) => {
    const directory = temporaryDirectory(t);
    const plain = await stallAfterHold(await connectedEnds(t), directory, 1900, undefined);
    // The best of a few: on a busy machine the release alone may take as long as a retransmission time-out.
    let woken = await stallAfterHold(await connectedEnds(t), directory, 1900, node);
    for (let again = 0; again < 3 && woken.stallMs > plain.stallMs / 2; again++) {
      woken = await stallAfterHold(await connectedEnds(t), directory, 1900, node);
    }
    t.log(`stall after a hold of 1.9 s: ${plain.stallMs.toFixed(1)} ms, with the wake ${woken.stallMs.toFixed(1)} ms`);
    t.like(woken.ended, { code: 0, stdout: '', stderr: '' });
    t.true(plain.stallMs > 500, `${plain.stallMs}`);
    t.true(woken.stallMs < plain.stallMs / 2, `${woken.stallMs}`);
  });

  test(`${build}: drain waits until everything is acknowledged`, async (t) => {
    const ends = await connectedEnds(t);
    const drain = async (namespace: string, ms: number) => {
      const ended = await start(node, ['drain', namespace, `${ms}`]).ended;
      t.like(ended, { code: 0, stderr: '' });
      return JSON.parse(ended.stdout) as Record<string, unknown>;
    };
    t.like(await drain(ends.movedNamespace, 1000), { drained: true, sockets: 1, pendingBytes: 0 });
    const filled = Number((await ends.ask('fill 64000000')).replace('filled ', ''));
    const stuck = await drain(ends.movedNamespace, 50);
    t.like(stuck, { drained: false, sockets: 1 });
    t.true(Number(stuck['waitedMs']) >= 50 && Number(stuck['pendingBytes']) > 0, JSON.stringify(stuck));
    t.like(await drain(ends.peerNamespace, 50), { drained: true, sockets: 1 });
    const waiting = drain(ends.movedNamespace, 5000);
    for (let taken = 0; taken < filled; ) taken += Number((await ends.ask('take')).replace('took ', ''));
    t.like(await waiting, { drained: true, pendingBytes: 0 });
  });

  test(`${build}: progress sees the first data after a restore, and nothing before`, async (t) => {
    const ends = await connectedEnds(t);
    const progress = (ms: number) => start(node, ['progress', ends.movedNamespace, `${ms}`]).ended;
    for (let i = 0; i < 10; i++) await ends.ask('echo');
    t.regex((await progress(0)).stdout, /^\{"firstDataRealtimeNs":"\d+","sockets":1\}\n$/);
    await ends.ask('restore');
    t.like(await progress(50), { code: 0, stdout: '{"firstDataRealtimeNs":null,"sockets":1}\n', stderr: '' });
    const waiting = progress(5000);
    await sleep(200);
    const before = Date.now();
    await ends.ask('echo');
    const { firstDataRealtimeNs } = JSON.parse((await waiting).stdout) as { firstDataRealtimeNs: string };
    const lateMs = Number(BigInt(firstDataRealtimeNs) / 1_000_000n) - before;
    t.true(lateMs >= -1 && lateMs < 50, `${lateMs}`);
  });

  test(`${build}: progress does not wait where nobody is connected`, async (t) => {
    const { child } = start('unshare', ['--net', 'sh', '-c', 'echo there; exec sleep 60'], {});
    t.teardown(() => child.kill('SIGKILL'));
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    const before = performance.now();
    const { stdout } = await start(node, ['progress', `/proc/${child.pid}/ns/net`, '30000']).ended;
    t.is(stdout, '{"firstDataRealtimeNs":null,"sockets":0}\n');
    t.true(performance.now() - before < 15_000);
  });

  test(`${build}: connections inside one container do not count`, async (t) => {
    const ends = await connectedEnds(t);
    const own = ['10.201.0.2', '127.0.0.1'].map((address) =>
      start(program('sanitize', 'tcp-ends'), [ends.movedNamespace, address, ends.movedNamespace, address], {
        keepInput: true,
      }),
    );
    for (const { child } of own) {
      t.teardown(() => child.kill('SIGKILL'));
      const answer = new Promise((resolve) => child.stdout?.once('data', resolve));
      child.stdin?.write('fill 64000000\n');
      await answer;
    }
    t.regex((await start(node, ['drain', ends.movedNamespace, '0']).ended).stdout, /"drained":true,.*"sockets":1,/);
    t.regex((await start(node, ['progress', ends.movedNamespace, '0']).ended).stdout, /"sockets":1/);
  });

  test(`${build}: usage and errors of wake, drain and progress`, async (t) => {
    const directory = temporaryDirectory(t);
    const list = `${directory}/list`;
    const usage = [['wake'], ['wake', 'a'], ['wake', 'a', list, '--rounds'], ['wake', 'a', list, '--rounds', '0']];
    usage.push(['drain', 'a'], ['drain', 'a', '-1'], ['progress', 'a', '1s'], ['nonsense'], [], ['clock', 'x']);
    for (const argv of usage) t.is((await start(node, argv).ended).code, 2, argv.join(' '));
    t.like(await start(node, ['drain', '/absent', '1']).ended, {
      code: 1,
      stderr: 'rankshift-node drain: cannot open the network namespace /absent: No such file or directory\n',
    });
    for (const line of ['10.0.0.1 1 10.0.0.2 2', '10.0.0.1 0 10.0.0.2 2 3', '10.0.0.1 1 10.0.0.2 2 4294967296', 'x']) {
      writeFileSync(list, `10.0.0.1 1 10.0.0.2 2 4294967295\n${line}\n`);
      const ended = await start(node, ['wake', '/proc/self/ns/net', list]).ended;
      t.is(ended.code, 1);
      t.regex(ended.stderr, /line 2 is not LOCAL_IP LOCAL_PORT/);
    }
    writeFileSync(list, '');
    t.like(await start(node, ['wake', '/proc/self/ns/net', list]).ended, { code: 0, stdout: '', stderr: '' });
  });
}
