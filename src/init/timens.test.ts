import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { buildPrograms, builds, program, start, until } from './testing.ts';

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

const second = 1_000_000_000n;
const tolerance = 4n * second;

interface Clocks {
  monotonicNs: string;
  boottimeNs: string;
  realtimeNs?: string;
}

for (const build of builds) {
  const node = program(build, 'rankshift-node');

  async function json(argv: readonly string[]): Promise<Clocks> {
    const ended = await start(node, argv).ended;
    if (ended.code !== 0) throw new Error(ended.stderr);
    return JSON.parse(ended.stdout) as Clocks;
  }

  async function ahead(argv: readonly string[]): Promise<{ monotonic: bigint; boottime: bigint }> {
    const here = await json(['clock']);
    const there = await json([...argv, node, 'clock']);
    return {
      monotonic: BigInt(there.monotonicNs) - BigInt(here.monotonicNs),
      boottime: BigInt(there.boottimeNs) - BigInt(here.boottimeNs),
    };
  }

  const near = (value: bigint, wanted: bigint) => value >= wanted && value < wanted + tolerance;
  const offset = (monotonic: bigint, boottime = 0n) =>
    ['timens', '--monotonic-ns', `${monotonic}`, '--boottime-ns', `${boottime}`, '--'] as const;

  test(`${build}: clocks run ahead of or behind the caller's`, async (t) => {
    const { monotonicNs, realtimeNs = '' } = await json(['clock']);
    t.true(near(BigInt(Date.now()) * 1_000_000n, BigInt(realtimeNs) - second / 1000n));
    t.true(near(process.hrtime.bigint(), BigInt(monotonicNs)));
    const forward = await ahead(offset(7200n * second, 5n * second));
    t.true(near(forward.monotonic, 7200n * second) && near(forward.boottime, 5n * second));
    const backward = await ahead(offset(-10n * second + 1n));
    t.true(near(backward.monotonic, -10n * second) && near(backward.boottime, 0n));
  });

  test(`${build}: offsets add up when the caller has one itself`, async (t) => {
    const nested = await ahead([...offset(36_000n * second, 100n * second), node, ...offset(-3600n * second - 5n)]);
    t.true(near(nested.monotonic, 32_400n * second - 5n) && near(nested.boottime, 100n * second));
  });

  test(`${build}: shows and joins the namespace of a process, also from within another`, async (t) => {
    const container = start(node, [...offset(1_000_000n * second + 7n, -3n), 'sleep', '60']);
    t.teardown(() => container.child.kill('SIGKILL'));
    const pid = `${container.child.pid}`;
    await until(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n');
    const seen = { monotonicNs: `${1_000_000n * second + 7n}`, boottimeNs: '-3' };
    t.deepEqual(await json(['timens', '--show', pid]), seen);
    const shifted = await json([...offset(1000n * second), node, 'timens', '--show', pid]);
    t.deepEqual(shifted, { monotonicNs: `${999_000n * second + 7n}`, boottimeNs: '-3' });
    const joined = await ahead(['timens', '--join', pid, '--']);
    t.true(near(joined.monotonic, 1_000_000n * second));
    const again = await json(['timens', '--join', pid, '--', node, 'timens', '--show', pid]);
    t.deepEqual(again, { monotonicNs: '0', boottimeNs: '0' });
  });

  test(`${build}: armed it waits for its line, and ends without`, async (t) => {
    const armed = start(node, ['timens', '--armed', '--', node, 'clock'], { keepInput: true });
    await sleep(100);
    t.is(armed.child.exitCode, null);
    const { monotonicNs } = await json(['clock']);
    armed.child.stdin?.end(`${7200n * second} 0\n`);
    const { stdout, code } = await armed.ended;
    t.is(code, 0);
    t.true(near(BigInt((JSON.parse(stdout) as Clocks).monotonicNs) - BigInt(monotonicNs), 7200n * second));
    for (const input of ['', '5']) {
      t.is((await start(node, ['timens', '--armed', '--', 'true'], { input }).ended).code, 1);
    }
    for (const input of ['\n', '5\n', '5 x\n']) {
      t.is((await start(node, ['timens', '--armed', '--', 'true'], { input }).ended).code, 2);
    }
    const nowhere = await start(node, [...offset(0n).slice(0, -1), '--cgroup', '/no/such', '--', 'true']).ended;
    t.is(nowhere.code, 1);
    t.regex(nowhere.stderr, /cannot enter the cgroup/);
  });

  test(`${build}: usage and errors of timens`, async (t) => {
    const usage = [[], ['--show'], ['--show', 'x'], ['--show', '1', '2'], ['--join', '1'], ['--join', '1', '--']];
    usage.push(['--', 'true'], ['--boottime-ns', '1', '--', 'true'], ['--monotonic-ns', '1s', '--', 'true']);
    usage.push(['--monotonic-ns', '1', 'true'], ['--monotonic-ns', '99999999999999999999', '--', 'true']);
    for (const argv of usage) t.is((await start(node, ['timens', ...argv]).ended).code, 2, argv.join(' '));
    t.is((await start(node, [...offset(0n), '/no/such/program']).ended).code, 127);
    t.is((await start(node, [...offset(0n), 'sh', '-c', 'exit 6']).ended).code, 6);
    t.is((await start(node, ['timens', '--show', '4194304']).ended).code, 1);
    const before = await start(node, [...offset(-(2n ** 60n)), 'true']).ended;
    t.is(before.code, 1);
    t.regex(before.stderr, /the kernel refuses the offsets/);
  });
}
