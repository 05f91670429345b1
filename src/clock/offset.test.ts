import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import { bestOffset, type ClockSample, measureOffset } from './offset.ts';

const second = 1_000_000_000n;

test('the exchange with the shortest round trip counts', (t) => {
  const samples = [
    { sentNs: 100n, remoteNs: 5000n, receivedNs: 900n },
    { sentNs: 1000n, remoteNs: 6050n, receivedNs: 1101n },
    { sentNs: 2000n, remoteNs: 9000n, receivedNs: 2900n },
  ];
  t.deepEqual(bestOffset(samples), { offsetNs: 5000n, errorNs: 51n });
});

test('the true offset is always within the error, whatever the two ways take', (t) => {
  const ways = fc.record({
    there: fc.bigInt(0n, second),
    back: fc.bigInt(0n, second),
    at: fc.bigInt(0n, 1000n * second),
  });
  const offsets = fc.bigInt(-(10n ** 18n), 10n ** 18n);
  fc.assert(
    fc.property(offsets, fc.array(ways, { minLength: 1 }), (trueNs, exchanges) => {
      const samples = exchanges.map(({ there, back, at }) => ({
        ...{ sentNs: at, remoteNs: at + there + trueNs, receivedNs: at + there + back },
      }));
      const { offsetNs, errorNs } = bestOffset(samples);
      const wrongBy = offsetNs > trueNs ? offsetNs - trueNs : trueNs - offsetNs;
      return wrongBy <= errorNs;
    }),
  );
  t.pass();
});

test('a clock that was set back in an exchange spoils only that one', (t) => {
  const back = { sentNs: 500n, remoteNs: 1n, receivedNs: 400n };
  t.deepEqual(bestOffset([back, { sentNs: 0n, remoteNs: 7n, receivedNs: 10n }]), { offsetNs: 2n, errorNs: 5n });
  t.throws(() => bestOffset([back]), { name: 'RankshiftError', message: /among 1/ });
  t.throws(() => bestOffset([]), { name: 'RankshiftError' });
});

/** A clock server whose CLOCK_MONOTONIC is ahead by whole seconds, and an exchange with it over TCP. */
async function remoteClock(aheadS: number, t: { teardown: (undo: () => void) => void }) {
  const program = fileURLToPath(new URL('testing/clock-server.ts', import.meta.url));
  const namespace = ['--time', '--monotonic', String(aheadS), '--fork', '--kill-child'];
  const server = fork(program, [], { execPath: 'unshare', execArgv: [...namespace, '--', process.execPath] });
  t.teardown(() => server.disconnect());
  const [{ port }] = (await once(server, 'message')) as [{ port: number }];
  const client = connect({ port, host: '127.0.0.1', noDelay: true });
  t.teardown(() => client.destroy());
  await once(client, 'connect');
  return async (): Promise<ClockSample> => {
    const sentNs = process.hrtime.bigint();
    client.write('?');
    const [answer] = (await once(client, 'data')) as [Buffer];
    return { sentNs, remoteNs: BigInt(answer.toString()), receivedNs: process.hrtime.bigint() };
  };
}

for (const aheadS of [7261, -3, 1_000_000]) {
  test.serial(`measured over TCP, a clock ${aheadS} s ahead is found to within the error`, async (t) => {
    const exchange = await remoteClock(aheadS, t);
    const { offsetNs, errorNs } = await measureOffset(exchange, { count: 200, spreadMs: 100 });
    const wrongNs = offsetNs - BigInt(aheadS) * second;
    t.log(`wrong by ${wrongNs} ns, the bound is ${errorNs} ns`);
    t.true(wrongNs <= errorNs && -wrongNs <= errorNs);
    t.true(errorNs < second / 100n, 'the bound is worth something');
  });
}
