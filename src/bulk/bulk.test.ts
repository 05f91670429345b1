import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { buildPrograms, builds, program, start } from '../init/testing.ts';
import { compressionSchema } from '../migration/wire.ts';
import { newBulkKey, startReceiver, startSender } from './bulk.ts';

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

const address = '127.0.0.1';
const ports = [0, 0] as const;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function scratch(t: ExecutionContext): Promise<{ from: string; to: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'rankshift-bulk-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const [from, to] = [join(dir, 'from'), join(dir, 'to')];
  await mkdir(from);
  await mkdir(to);
  return { from, to };
}

for (const build of builds) {
  const bulk = program(build, 'rankshift-bulk');

  async function pair(t: ExecutionContext) {
    const { from, to } = await scratch(t);
    const key = newBulkKey();
    const receiver = await startReceiver({ program: bulk, address, ports, source: address, dir: to, key });
    const sender = await startSender({ program: bulk, address, port: receiver.port, dir: from, key });
    t.teardown(() => {
      receiver.drop();
      sender.drop();
    });
    return { from, to, receiver, sender, key };
  }

  test(`${build}: page images that are still being written arrive whole, one after another`, async (t) => {
    const { from, to, receiver, sender } = await pair(t);
    const contents: Record<string, Buffer> = {};
    for (const id of [1, 2, 3]) {
      const name = `pages-${id}.img`;
      contents[name] = Buffer.alloc(0);
      await writeFile(join(from, name), '');
      // Around the frame and its piece, and far below and above; the second image stays empty.
      for (const size of id === 2 ? [] : [7, 262_136, 262_144, 262_137, 4096, 3_000_001, 1]) {
        const bytes = randomBytes(size);
        contents[name] = Buffer.concat([contents[name], bytes]);
        await appendFile(join(from, name), bytes);
        await pause(size % 8);
      }
    }
    await writeFile(join(from, 'core-1.img'), 'not a page');
    const sum = Object.values(contents).reduce((total, { length }) => total + length, 0);
    t.is(await sender.finish(), sum);
    t.is(await receiver.done, sum);
    t.deepEqual((await readdir(to)).sort(), Object.keys(contents));
    for (const [name, bytes] of Object.entries(contents)) t.true(bytes.equals(await readFile(join(to, name))), name);
  });

  for (const compression of compressionSchema.options) {
    for (const streams of [1, 3]) {
      test(`${build}: ${compression} over ${streams} connections brings every byte, and what cannot get smaller as well`, async (t) => {
        const { from, to } = await scratch(t);
        const options = { program: bulk, address, key: newBulkKey() };
        const receiver = await startReceiver({ ...options, ports, source: address, dir: to });
        const wire = { compression, streams };
        const sender = await startSender({ ...options, port: receiver.port, dir: from, wire });
        t.teardown(() => {
          receiver.drop();
          sender.drop();
        });
        const words = Buffer.from('all work and no play makes a dull page. '.repeat(50_000));
        const parts = [
          words,
          randomBytes(3_000_001),
          Buffer.alloc(1_000_000),
          words.subarray(0, 65_536),
          randomBytes(7),
        ];
        for (const part of parts) await appendFile(join(from, 'pages-1.img'), part);
        const bytes = Buffer.concat(parts);
        t.is(await sender.finish(), bytes.length);
        t.is(await receiver.done, bytes.length);
        t.true(bytes.equals(await readFile(join(to, 'pages-1.img'))));
      });
    }
  }

  test(`${build}: a compression or a number of streams that does not exist is refused`, async (t) => {
    const { from } = await scratch(t);
    for (const rest of [' gzip 1', ' lz4 0', ' lz4 17', ' lz4', ' lz4 1 1', 'x', ' ']) {
      const child = start(bulk, ['send', address, '1', from], { input: `${newBulkKey()}${rest}\n` });
      t.is((await child.ended).code, 2, rest);
    }
  });

  test(`${build}: nothing to send is nothing received`, async (t) => {
    const { to, receiver, sender } = await pair(t);
    t.is(await sender.finish(), 0);
    t.is(await receiver.done, 0);
    t.deepEqual(await readdir(to), []);
  });

  test(`${build}: who has not got the key gets nowhere`, async (t) => {
    const { from, to } = await scratch(t);
    const receiver = await startReceiver({
      program: bulk,
      address,
      ports,
      source: address,
      dir: to,
      key: newBulkKey(),
    });
    t.teardown(() => receiver.drop());
    const stranger = startSender({ program: bulk, address, port: receiver.port, dir: from, key: newBulkKey() });
    await t.throwsAsync(stranger, { message: /no TLS connection with this key/ });
    await t.throwsAsync(receiver.done, { message: /no TLS connection with this key/ });
    t.deepEqual(await readdir(to), []);
  });

  test(`${build}: what speaks no TLS is refused, and another node is not even heard`, async (t) => {
    const { from, to } = await scratch(t);
    const options = { program: bulk, address, ports, dir: to, key: newBulkKey() };
    const plain = await startReceiver({ ...options, source: address });
    connect(plain.port, address)
      .on('error', () => undefined)
      .end('GET / HTTP/1.1\r\n\r\n');
    await t.throwsAsync(plain.done, { message: /no TLS connection/ });
    const other = await startReceiver({ ...options, source: '127.0.0.9' });
    const refused = startSender({ program: bulk, address, port: other.port, dir: from, key: options.key });
    await t.throwsAsync(refused, { message: /no TLS connection/ });
    other.drop();
  });

  test(`${build}: an image that is there already is not written over`, async (t) => {
    const { from, to, receiver, sender } = await pair(t);
    await writeFile(join(to, 'pages-1.img'), 'old');
    await writeFile(join(from, 'pages-1.img'), 'new');
    await t.throwsAsync(sender.finish(), { message: /sending failed|receiving failed/ });
    await t.throwsAsync(receiver.done, { message: /pages-1.img: File exists/ });
    t.is(await readFile(join(to, 'pages-1.img'), 'utf8'), 'old');
  });

  test(`${build}: the end of either side is told to the other`, async (t) => {
    const first = await pair(t);
    await writeFile(join(first.from, 'pages-1.img'), randomBytes(1_000_000));
    first.receiver.drop();
    await t.throwsAsync(Promise.race([first.sender.finish(), first.sender.failed]), { code: 'E_LINK' });
    const second = await pair(t);
    second.sender.drop();
    await t.throwsAsync(second.receiver.done, { message: /receiving failed/ });
  });
}

test('a full directory is told as such', async (t) => {
  const { execFileSync } = await import('node:child_process');
  const { from, to } = await scratch(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'rankshift', to]);
  t.teardown(() => void execFileSync('umount', [to]));
  const bulk = program(builds[0], 'rankshift-bulk');
  const key = newBulkKey();
  const receiver = await startReceiver({ program: bulk, address, ports, source: address, dir: to, key });
  const sender = await startSender({ program: bulk, address, port: receiver.port, dir: from, key });
  await writeFile(join(from, 'pages-1.img'), randomBytes(200_000));
  await t.throwsAsync(sender.finish(), { code: 'E_LINK' });
  await t.throwsAsync(receiver.done, { code: 'E_TARGET_FULL' });
});

test('ports of the range are taken in turn, and a range in use is said', async (t) => {
  const { to } = await scratch(t);
  const bulk = program(builds[0], 'rankshift-bulk');
  const start = (range: readonly [number, number]) =>
    startReceiver({ program: bulk, address, ports: range, source: address, dir: to, key: newBulkKey() });
  const first = await start([0, 0]);
  const second = await start([first.port, 65_535]);
  t.true(second.port > first.port);
  await t.throwsAsync(start([first.port, first.port]), { message: /no port of \d+-\d+ is free/ });
  first.drop();
  second.drop();
});
