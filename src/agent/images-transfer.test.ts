import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { testCluster, testPair } from '../channel/testing.ts';
import { toTargetSchema } from './messages.ts';
import { receiveImages } from './receive-images.ts';
import { receivePages } from './receive-pages.ts';
import { sendImages } from './send-images.ts';
import { sendPages } from './send-pages.ts';

const cluster = await testCluster();
const [source, target] = [await cluster.issue('n1'), await cluster.issue('n2')];
test.after.always(() => cluster.remove());

async function scratch(): Promise<{ from: string; to: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'rankshift-images-'));
  const [from, to] = [join(dir, 'from'), join(dir, 'to')];
  await mkdir(from);
  await mkdir(to);
  return { from, to, remove: () => rm(dir, { recursive: true }) };
}

test('images arrive whole, empty and large ones too, and nothing else of the directory', async (t) => {
  const { from, to, remove } = await scratch();
  const pair = await testPair(source, target);
  t.teardown(async () => {
    await pair.close();
    await remove();
  });
  const large = Buffer.alloc(3_500_000, 'page');
  await writeFile(join(from, 'core-1.img'), 'core');
  await writeFile(join(from, 'empty.img'), '');
  await writeFile(join(from, 'ghost.img'), large);
  await writeFile(join(from, 'descriptors.json'), '[]');
  await writeFile(join(from, 'dump.log'), 'not for the target');
  const received = (async () => {
    const message = await pair.far.next(toTargetSchema);
    if (message.op === 'images') await receiveImages(pair.far, to, message.files);
  })();
  t.is(await sendImages(pair.near, from), 4 + large.length + 2);
  await received;
  t.deepEqual((await readdir(to)).sort(), ['core-1.img', 'descriptors.json', 'empty.img', 'ghost.img']);
  t.true(large.equals(await readFile(join(to, 'ghost.img'))));
});

test('more or fewer bytes than announced are an error, and no name leads out of the directory', async (t) => {
  const { to, remove } = await scratch();
  t.teardown(remove);
  for (const [size, pattern] of [
    [3, /more bytes/],
    [9, /fewer bytes/],
  ] as const) {
    const pair = await testPair(source, target);
    const received = receiveImages(pair.far, to, [{ name: `f${size}.img`, size }]);
    const sent = pair.near.sendBytes(Buffer.from('12345')).then(() => pair.near.sendEnd(5));
    sent.catch(() => undefined);
    await t.throwsAsync(received, { message: pattern });
    await pair.close();
  }
  for (const name of ['../x.img', '/etc/x', '.hidden', 'a/b.img']) {
    t.false(toTargetSchema.safeParse({ op: 'images', files: [{ name, size: 1 }] }).success, name);
  }
});

test('page images that are still being written arrive whole, one after another', async (t) => {
  const { from, to, remove } = await scratch();
  const pair = await testPair(source, target);
  t.teardown(async () => {
    await pair.close();
    await remove();
  });
  const contents: Record<string, Buffer> = {};
  const write = async () => {
    for (const id of [1, 2, 3]) {
      const name = `pages-${id}.img`;
      contents[name] = Buffer.alloc(0);
      await writeFile(join(from, name), '');
      for (let piece = 0; piece < 5 && id !== 2; piece++) {
        const bytes = Buffer.alloc(700_000 + piece, id * 16 + piece);
        contents[name] = Buffer.concat([contents[name], bytes]);
        await appendFile(join(from, name), bytes);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    await writeFile(join(from, 'core-1.img'), 'not a page');
  };
  const received = receivePages(pair.far, to);
  const sent = await sendPages(pair.near, from, write());
  await received;
  t.deepEqual((await readdir(to)).sort(), Object.keys(contents));
  for (const [name, bytes] of Object.entries(contents)) t.true(bytes.equals(await readFile(join(to, name))), name);
  t.is(
    sent,
    Object.values(contents).reduce((sum, { length }) => sum + length, 0),
  );
});

test('pieces of every size arrive as they were: no buffer is filled anew before it was sent', async (t) => {
  const { from, to, remove } = await scratch();
  const pair = await testPair(source, target);
  t.teardown(async () => {
    await pair.close();
    await remove();
  });
  const file = join(from, 'pages-1.img');
  const write = async () => {
    // Around the piece and the frame, and below both.
    for (const bytes of [9_000_001, 4_194_304, 100, 1_048_575, 1_048_577, 300_000, 5_500_000, 12_582_912, 7]) {
      await appendFile(file, randomBytes(bytes));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const received = receivePages(pair.far, to);
  await sendPages(pair.near, from, write());
  await received;
  t.true((await readFile(file)).equals(await readFile(join(to, 'pages-1.img'))));
});

test('a dump that fails ends the sending with its reason, on both sides', async (t) => {
  const { from, to, remove } = await scratch();
  const pair = await testPair(source, target);
  t.teardown(async () => {
    await pair.close();
    await remove();
  });
  await writeFile(join(from, 'pages-1.img'), 'some');
  const received = receivePages(pair.far, to);
  const failing = new Promise<void>((_, reject) => setTimeout(() => reject(new Error('criu failed')), 50));
  await t.throwsAsync(sendPages(pair.near, from, failing), { message: /criu failed/ });
  await t.throwsAsync(received, { message: /criu failed/ });
});
