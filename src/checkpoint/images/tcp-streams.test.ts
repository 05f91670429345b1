import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { formatAddress } from './address.ts';
import { readTcpStreams, wakeList } from './tcp-streams.ts';

const connections = fileURLToPath(new URL('fixtures/connections', import.meta.url));

async function copyOfImages(t: { teardown: (undo: () => Promise<void>) => void }): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'rankshift-images-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await cp(connections, dir, { recursive: true });
  return dir;
}

test('connections are read with their queues and the sequence number that the peer waits for', async (t) => {
  const streams = await readTcpStreams(connections);
  t.is(streams.length, 8);
  const to = (port: number) =>
    streams.find(({ remotePort, localIp }) => remotePort === port && localIp !== '127.0.0.1');
  t.deepEqual(to(5001), {
    ...{ localIp: '10.201.0.2', localPort: 32966, remoteIp: '10.201.0.1', remotePort: 5001 },
    ...{ peerSndUna: 2173678085, inBytes: 0, outBytes: 2848, unsentBytes: 2848 },
  });
  t.deepEqual(to(47210), {
    ...{ localIp: '10.201.0.2', localPort: 6001, remoteIp: '10.201.0.1', remotePort: 47210 },
    ...{ peerSndUna: 3453580388, inBytes: 5, outBytes: 0, unsentBytes: 0 },
  });
  t.is(to(5003)?.remoteIp, 'fd00::1');
});

test('the peers to wake are those outside the container', async (t) => {
  t.is(
    await wakeList(connections),
    [
      '10.201.0.2 32966 10.201.0.1 5001 2173678085\n',
      '10.201.0.2 39712 10.201.0.1 5002 3285918728\n',
      '10.201.0.2 6001 10.201.0.1 47210 3453580388\n',
    ].join(''),
  );
});

test('an absent, foreign or short image is named', async (t) => {
  const dir = await copyOfImages(t);
  await t.throwsAsync(readTcpStreams(join(dir, 'none')), { message: /none\/files\.img/ });
  await writeFile(join(dir, 'files.img'), 'nothing of CRIU');
  await t.throwsAsync(readTcpStreams(dir), { message: /files\.img: not a CRIU image/ });
  await writeFile(join(dir, 'files.img'), 'abc');
  await t.throwsAsync(readTcpStreams(dir), { message: /files\.img: the image is cut short/ });
});

test('an image cut short anywhere is refused or ends at a whole entry', async (t) => {
  const dir = await copyOfImages(t);
  const whole = await readFile(join(connections, 'files.img'));
  for (let length = 0; length < whole.length; length += 7) {
    await writeFile(join(dir, 'files.img'), whole.subarray(0, length));
    const outcome = await readTcpStreams(dir).catch((error: { name: string }) => error.name);
    t.true(outcome === 'RankshiftError' || Array.isArray(outcome), `${length} bytes: ${outcome}`);
  }
});

test('addresses', (t) => {
  t.is(formatAddress([0x0201c90a], 4), '10.201.1.2');
  t.is(formatAddress([0, 0, 0xffff0000, 0x0200c90a], 6), '10.201.0.2');
  t.is(formatAddress([0, 0, 0, 0x01000000], 6), '::1');
});
