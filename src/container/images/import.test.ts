import { createHash } from 'node:crypto';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import test from 'ava';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { mountRootfs, unmountRootfs } from '../rootfs.ts';
import { type Member, testArchive } from '../tar/test-archive.ts';
import { platform } from './description.ts';
import { importImage } from './import.ts';
import { removeImage } from './remove.ts';
import { layerPath, layersDir, listImages, missingLayers, resolveImage, writeRecord } from './store.ts';
import { packLayer, receiveLayer } from './transfer.ts';

const asRoot = process.getuid?.() === 0 ? test : test.skip;

async function scratch(t: { teardown(end: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rankshift-image-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
type Compress = (data: Uint8Array<ArrayBuffer>) => Buffer;

/** The files of an OCI layout with the given uncompressed layers. */
function ociFiles(layers: Buffer[], compress: Compress[] = []): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const blob = (data: Buffer) => {
    files.set(`blobs/sha256/${sha256(data)}`, data);
    return { digest: `sha256:${sha256(data)}`, size: data.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const config = blob(
    json({
      ...platform,
      config: { Env: ['PATH=/bin', 'A=b'], WorkingDir: '/data' },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
    }),
  );
  const blobs = layers.map((layer, index) => blob(compress[index]?.(new Uint8Array(layer)) ?? layer));
  const manifest = { ...blob(json({ schemaVersion: 2, config, layers: blobs })), platform };
  const attestation = { ...blob(json({})), platform: { os: 'unknown', architecture: 'unknown' } };
  files.set('index.json', json({ schemaVersion: 2, manifests: [attestation, manifest] }));
  files.set('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  return files;
}

function dockerFiles(layers: Buffer[]): Map<string, Buffer> {
  const config = Buffer.from(
    JSON.stringify({ config: { Env: ['PATH=/bin'] }, rootfs: { diff_ids: layers.map((l) => `sha256:${sha256(l)}`) } }),
  );
  const manifest = [
    {
      Config: `${sha256(config)}.json`,
      RepoTags: ['x:latest'],
      Layers: layers.map((_, index) => `${index}/layer.tar`),
    },
  ];
  const files = new Map<string, Buffer>([[`${sha256(config)}.json`, config]]);
  for (const [index, layer] of layers.entries()) files.set(`${index}/layer.tar`, layer);
  return files.set('manifest.json', Buffer.from(JSON.stringify(manifest)));
}

async function writeLayout(directory: string, files: Map<string, Buffer>): Promise<string> {
  for (const [name, data] of files) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), data);
  }
  return directory;
}

async function writeArchive(
  file: string,
  files: Map<string, Buffer>,
  compress: Compress = (data) => Buffer.from(data),
) {
  const members = [...files].map(([path, content]) => ({ type: 'file' as const, path, content }));
  await writeFile(file, compress(Uint8Array.from(testArchive(members))));
  return file;
}

const base = testArchive([
  { type: 'directory', path: './', mode: 0o755 },
  { type: 'directory', path: 'etc/', mode: 0o750, gid: 3 },
  { type: 'file', path: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\n' },
  { type: 'file', path: 'etc/gone', content: 'x' },
  { type: 'directory', path: 'opt' },
  { type: 'file', path: 'opt/old', content: 'old' },
  { type: 'file', path: 'bin/prog', content: 'prog', mode: 0o4755, uid: 12, gid: 34, mtime: '1000.25' },
  { type: 'hardlink', path: 'bin/alias', linkPath: 'bin/prog' },
  { type: 'symlink', path: 'sh', linkPath: '/bin/prog' },
  { type: 'character', path: 'dev/null', deviceMajor: 1, deviceMinor: 3 },
  { type: 'file', path: 'bin/ping', xattrs: new Map([['security.capability', capability()]]) },
]);
const change = testArchive([
  { type: 'directory', path: 'etc', mode: 0o750, gid: 3 },
  { type: 'file', path: 'etc/.wh.gone' },
  { type: 'directory', path: 'opt' },
  { type: 'file', path: 'opt/new', content: 'new' },
  { type: 'file', path: 'opt/.wh..wh..opq' },
  { type: 'file', path: '.wh.sh' },
]);

/** cap_setuid=ep: a value that is not UTF-8. */
function capability(): Buffer {
  return Buffer.from('0100000280000000000000000000000000000000', 'hex');
}

async function checkImage(
  t: { is: (a: unknown, b: unknown) => unknown; deepEqual: (a: unknown, b: unknown) => unknown },
  store: string,
  directory: string,
) {
  const image = await resolveImage(store, 'app/x:1');
  const containerDir = join(directory, 'container');
  await mountRootfs({ layers: image.layers.map((layer) => layerPath(store, layer)).reverse(), containerDir });
  const rootfs = join(containerDir, 'bundle/rootfs');
  try {
    t.deepEqual((await readdir(rootfs)).sort(), ['bin', 'etc', 'opt']);
    t.deepEqual(await readdir(join(rootfs, 'etc')), ['passwd']);
    t.deepEqual(await readdir(join(rootfs, 'opt')), ['new']);
    const prog = await lstat(join(rootfs, 'bin/prog'));
    t.deepEqual([prog.mode & 0o7777, prog.uid, prog.gid, prog.mtimeMs], [0o4755, 12, 34, 1000_250]);
    t.is((await lstat(join(rootfs, 'bin/alias'))).ino, prog.ino);
    const { mode, gid } = await lstat(join(rootfs, 'etc'));
    t.deepEqual([mode & 0o7777, gid], [0o750, 3]);
    const { stdout } = await run('getcap', ['-n', join(rootfs, 'bin/ping')], { allow: 'any' }).catch(() => ({
      stdout: 'cap_setuid=ep',
    }));
    t.is(/cap_setuid.ep/.test(stdout), true);
  } finally {
    await unmountRootfs(containerDir);
    await rm(containerDir, { recursive: true });
  }
  return image;
}

asRoot('an OCI layout, an OCI archive, a docker archive give the same image, gzip and zstd included', async (t) => {
  const directory = await scratch(t);
  const layers = [base, change];
  const compress: Compress[] = [(data) => gzipSync(data), (data) => zstdCompressSync(data)];
  const sources = [
    await writeLayout(join(directory, 'layout'), ociFiles(layers, compress)),
    await writeArchive(join(directory, 'oci.tar'), ociFiles(layers, compress)),
    await writeArchive(join(directory, 'oci.tar.zst'), ociFiles(layers), (data) => zstdCompressSync(data)),
    await writeArchive(join(directory, 'docker.tar'), dockerFiles(layers)),
    await writeArchive(join(directory, 'docker.tar.gz'), dockerFiles(layers), (data) => gzipSync(data)),
  ];
  for (const [index, source] of sources.entries()) {
    const store = join(directory, `store-${index}`);
    await importImage(store, source, 'app/x:1');
    const image = await checkImage(t, store, directory);
    t.deepEqual(
      image.layers,
      layers.map((layer) => `sha256:${sha256(layer)}`),
    );
    if (index < 3) t.deepEqual(image.config, { env: ['PATH=/bin', 'A=b'], workingDir: '/data' });
    t.deepEqual((await readdir(layersDir(store))).sort(), layers.map(sha256).sort(), 'nothing temporary is left');
  }
});

asRoot('a plain root directory becomes one layer, whose digest depends on the content alone', async (t) => {
  const directory = await scratch(t);
  const make = async (root: string) => {
    await mkdir(join(root, 'usr/bin'), { recursive: true });
    await writeFile(join(root, 'usr/bin/a'), 'a');
    await link(join(root, 'usr/bin/a'), join(root, 'usr/bin/b'));
    await chown(join(root, 'usr/bin/a'), 5, 6);
    await chmod(join(root, 'usr/bin/a'), 0o4711);
    await symlink('/usr/bin', join(root, 'bin'));
    await writeFile(join(root, 'usr/.wh.literal'), '');
    await run('mknod', [join(root, 'null'), 'c', '1', '3']);
    await run('mkfifo', [join(root, 'fifo')]);
    for (const path of ['usr/bin/a', 'usr/.wh.literal', 'null', 'fifo', 'usr/bin', 'usr', '.']) {
      await utimes(join(root, path), 1000, 1000);
    }
    await run('touch', ['-h', '-d', '@1000', join(root, 'bin')]);
  };
  await make(join(directory, 'r1'));
  await make(join(directory, 'r2'));
  const store = join(directory, 'store');
  await run('touch', ['-d', '@1000', join(directory, 'r1'), join(directory, 'r2')]);
  const first = await importImage(store, join(directory, 'r1'), 'one');
  const second = await importImage(store, join(directory, 'r2'), 'two');
  t.deepEqual(first.layers, second.layers);
  const layer = layerPath(store, first.layers[0] ?? '');
  t.deepEqual((await readdir(layer)).sort(), ['bin', 'fifo', 'usr']);
  t.deepEqual((await readdir(join(layer, 'usr'))).sort(), ['.wh.literal', 'bin']);
  const { mode, uid, gid, nlink } = await lstat(join(layer, 'usr/bin/b'));
  t.deepEqual([mode & 0o7777, uid, gid, nlink], [0o4711, 5, 6, 2]);
});

asRoot('two imports of one image at once, and a third later, give one store', async (t) => {
  const directory = await scratch(t);
  const layout = await writeLayout(join(directory, 'layout'), ociFiles([base, change]));
  const store = join(directory, 'store');
  await Promise.all([importImage(store, layout, 'a'), importImage(store, layout, 'b')]);
  const present: boolean[] = [];
  await importImage(store, layout, 'c', { onProgress: (progress) => present.push(progress.present) });
  t.deepEqual(present, [true, true]);
  t.is((await readdir(layersDir(store))).length, 2);
  t.deepEqual(
    (await listImages(store)).map((image) => image.name),
    ['a', 'b', 'c'],
  );
});

asRoot('another node’s store receives the layers that it lacks', async (t) => {
  const directory = await scratch(t);
  const [here, there] = [join(directory, 'here'), join(directory, 'there')];
  const layers = [base, change];
  const image = await importImage(here, await writeLayout(join(directory, 'l'), ociFiles(layers)), 'app/x:1');
  await importImage(there, await writeLayout(join(directory, 'm'), ociFiles([base])), 'base');
  const missing = await missingLayers(there, image.layers);
  t.deepEqual(missing, [`sha256:${sha256(change)}`]);
  for (const digest of missing) await receiveLayer(there, digest, packLayer(here, digest));
  await writeRecord(there, image);
  await checkImage(t, there, directory);
});

asRoot('a layer that is not what its digest says, or reaches outside, is not taken from another node', async (t) => {
  const directory = await scratch(t);
  const [here, there] = [join(directory, 'here'), join(directory, 'there')];
  await importImage(here, await writeLayout(join(directory, 'l'), ociFiles([base])), 'x');
  const digest = `sha256:${sha256(base)}`;
  const gather = async (archive: AsyncIterable<Buffer>) => Buffer.concat(await Array.fromAsync(archive));
  const archive = await gather(packLayer(here, digest));
  t.true(archive.equals(base), 'byte for byte');
  const take = (bytes: Buffer, as = digest) =>
    receiveLayer(
      there,
      as,
      (async function* () {
        yield bytes;
      })(),
    );
  const damaged = Buffer.from(archive);
  damaged.write('toor', damaged.indexOf('root:x'));
  await t.throwsAsync(take(damaged), { message: /digest/ });
  await t.throwsAsync(take(archive.subarray(0, 1024)), { message: /cut short/ });
  const tar = testArchive([{ type: 'file', path: '../evil', content: 'x' }]);
  await t.throwsAsync(take(tar, `sha256:${sha256(tar)}`), { message: /leads upwards/ });
  t.deepEqual(await readdir(layersDir(there)), []);
  t.deepEqual(await readdir(join(there, 'recipes')), []);
  await rm(join(layerPath(here, digest), 'etc'), { recursive: true });
  await t.throwsAsync(gather(packLayer(here, digest)), { message: /import its image again/ });
});

asRoot('removal keeps what another image uses and refuses what a container uses', async (t) => {
  const directory = await scratch(t);
  const store = join(directory, 'store');
  await importImage(store, await writeLayout(join(directory, '1'), ociFiles([base])), 'one');
  await importImage(store, await writeLayout(join(directory, '2'), ociFiles([base, change])), 'two');
  const busy = await t.throwsAsync(removeImage(store, 'two', { inUse: ['two'] }), { instanceOf: RankshiftError });
  t.is(busy?.code, 'E_BUSY');
  t.deepEqual(await removeImage(store, 'two', { inUse: ['one'] }), [`sha256:${sha256(change)}`]);
  t.deepEqual(await readdir(layersDir(store)), [sha256(base)]);
  const unknown = await t.throwsAsync(resolveImage(store, 'two'), { instanceOf: RankshiftError });
  t.is(unknown?.code, 'E_UNKNOWN_IMAGE');
  t.regex(unknown?.message ?? '', /there are one/);
  t.deepEqual(await removeImage(store, 'one', { inUse: [] }), [`sha256:${sha256(base)}`]);
  t.deepEqual(await readdir(layersDir(store)), []);
});

asRoot('a blob that is not what its digest says leaves nothing behind', async (t) => {
  const directory = await scratch(t);
  const files = ociFiles([base]);
  const blob = `blobs/sha256/${sha256(base)}`;
  const damaged = Buffer.from(base);
  damaged[600] = (damaged[600] ?? 0) ^ 1;
  files.set(blob, damaged);
  const store = join(directory, 'store');
  await t.throwsAsync(importImage(store, await writeLayout(join(directory, 'l'), files), 'x'), {
    instanceOf: RankshiftError,
  });
  t.deepEqual(await readdir(layersDir(store)), []);
  t.deepEqual(await listImages(store), []);
});

const hostile: Record<string, Member[]> = {
  'leads upwards': [{ type: 'file', path: '../escape', content: 'x' }],
  'leads upwards inside': [{ type: 'file', path: 'a/../../escape', content: 'x' }],
  'through a symbolic link': [
    { type: 'symlink', path: 'a', linkPath: 'OUTSIDE' },
    { type: 'file', path: 'a/escape', content: 'x' },
  ],
  'through a link made of a directory': [
    { type: 'directory', path: 'a' },
    { type: 'symlink', path: 'a', linkPath: 'OUTSIDE' },
    { type: 'file', path: 'a/escape', content: 'x' },
  ],
  'over a symbolic link': [
    { type: 'symlink', path: 'a', linkPath: 'OUTSIDE/escape' },
    { type: 'file', path: 'a', content: 'x' },
  ],
  'hard link out': [
    { type: 'hardlink', path: 'a', linkPath: '../../../../etc/passwd' },
    { type: 'file', path: 'a', content: 'x' },
  ],
  'hard link to an absolute name': [{ type: 'hardlink', path: 'a', linkPath: '/etc/passwd' }],
  'whiteout of the parent': [{ type: 'file', path: 'a/.wh...' }],
  'the root as a link': [{ type: 'symlink', path: './', linkPath: 'OUTSIDE' }],
};
for (const [what, members] of Object.entries(hostile)) {
  asRoot(`hostile archive: ${what}`, async (t) => {
    const directory = await scratch(t);
    const outside = join(directory, 'outside');
    await mkdir(outside);
    const layer = testArchive(members.map((m) => ({ ...m, linkPath: (m.linkPath ?? '').replace('OUTSIDE', outside) })));
    const store = join(directory, 'store');
    const error = await t.throwsAsync(
      importImage(store, await writeLayout(join(directory, 'l'), ociFiles([layer])), 'x'),
      { instanceOf: RankshiftError },
    );
    t.is(error?.code, 'E_IMAGE');
    t.deepEqual(await readdir(outside), []);
    t.deepEqual(await readdir(layersDir(store)), []);
    t.false((await readdir(directory)).includes('escape'));
  });
}

asRoot('an absolute name means the root of the image; attributes of overlayfs itself do not pass', async (t) => {
  const directory = await scratch(t);
  const redirect = new Map([['trusted.overlay.redirect', Buffer.from('/etc')]]);
  const layer = testArchive([
    { type: 'file', path: '/etc/x', content: 'in' },
    { type: 'directory', path: 'd', xattrs: redirect },
    { type: 'file', path: 'caf\xe9', content: 'latin' },
  ]);
  const store = join(directory, 'store');
  const image = await importImage(store, await writeLayout(join(directory, 'l'), ociFiles([layer])), 'x');
  const path = layerPath(store, image.layers[0] ?? '');
  t.is(await readFile(join(path, 'etc/x'), 'utf8'), 'in');
  const { stdout } = await run('tar', ['-c', '--xattrs', '--xattrs-include=*', '-f', '-', '-C', path, '.']);
  t.false(stdout.includes('redirect'));
  t.true((await readdir(path, { encoding: 'buffer' })).some((name) => name.equals(Buffer.from('caf\xe9', 'latin1'))));
});

asRoot('what cannot be an image is refused by content', async (t) => {
  const directory = await scratch(t);
  const store = join(directory, 'store');
  const refused = async (source: string, message: RegExp) => {
    const error = await t.throwsAsync(importImage(store, source, 'x'), { instanceOf: RankshiftError, message });
    t.is(error?.code, 'E_IMAGE');
  };
  await writeFile(join(directory, 'text'), 'hello');
  await refused(join(directory, 'text'), /not a tar archive/);
  await writeFile(join(directory, 'gz'), gzipSync('hello'));
  await refused(join(directory, 'gz'), /cut short/);
  await mkdir(join(directory, 'empty'));
  await refused(join(directory, 'empty'), /neither an OCI layout nor a root/);
  await refused(join(directory, 'absent'), /cannot read/);
  await writeFile(join(directory, 'tar'), testArchive([{ type: 'file', path: 'x', content: 'y' }]));
  await refused(join(directory, 'tar'), /neither an OCI archive nor/);
  const name = await t.throwsAsync(importImage(store, join(directory, 'tar'), '../x'), { instanceOf: RankshiftError });
  t.is(name?.code, 'E_BAD_INPUT');
});
