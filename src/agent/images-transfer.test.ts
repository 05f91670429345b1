import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { testCluster, testPair } from '../channel/testing.ts';
import { toTargetSchema } from './messages.ts';
import { receiveImages } from './receive-images.ts';
import { sendImages } from './send-images.ts';

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
  await writeFile(join(from, 'dump.log'), 'not for the target');
  const received = (async () => {
    const message = await pair.far.next(toTargetSchema);
    if (message.op === 'images') await receiveImages(pair.far, to, message.files);
  })();
  t.is(await sendImages(pair.near, from, false), 4 + large.length);
  await received;
  t.deepEqual((await readdir(to)).sort(), ['core-1.img', 'empty.img', 'ghost.img']);
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
