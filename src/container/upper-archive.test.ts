import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import test from 'ava';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';
import { mountRootfs, rootfsPath, unmountRootfs } from './rootfs.ts';
import { plainEntry } from './tar/header.ts';
import { extractTar } from './tar/process.ts';
import { inPieces, type Member, testArchive } from './tar/test-archive.ts';
import { packUpper, unpackUpper } from './upper-archive.ts';

const asRoot = process.getuid?.() === 0 ? test : test.skip;

async function scratch(t: { teardown(end: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rankshift-upper-'));
  t.teardown(async () => {
    await unmountRootfs(join(directory, 'container'));
    await rm(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Everything that tar knows of a tree, in a fixed order. */
async function snapshot(directory: string): Promise<string> {
  const args = ['--sort=name', '--format=pax', '--pax-option=exthdr.name=%f,delete=atime,delete=ctime'];
  const all = [
    '--xattrs',
    '--xattrs-include=*',
    '--numeric-owner',
    '--xattrs-exclude=trusted.overlay.[!o]*',
    '--xattrs-exclude=trusted.overlay.origin',
  ];
  const { stdout } = await run('sh', [
    '-c',
    'tar -c -f - "$@" | sha256sum',
    'sh',
    ...args,
    ...all,
    '-C',
    directory,
    '.',
  ]);
  return stdout;
}

asRoot('an upper directory with all that overlayfs and a user put there arrives as it was', async (t) => {
  const directory = await scratch(t);
  const lower = join(directory, 'lower');
  await mkdir(join(lower, 'gone'), { recursive: true });
  await mkdir(join(lower, 'replaced'));
  await writeFile(join(lower, 'replaced/old'), 'old');
  await writeFile(join(lower, 'deleted'), '');
  await writeFile(join(lower, 'changed'), 'lower');
  const containerDir = join(directory, 'container');
  await mountRootfs({ layers: [lower], containerDir });
  const rootfs = rootfsPath(containerDir);
  try {
    await run('rm', ['-r', join(rootfs, 'gone'), join(rootfs, 'deleted'), join(rootfs, 'replaced')]);
    await mkdir(join(rootfs, 'replaced'));
    await writeFile(join(rootfs, 'replaced/new'), 'new');
    await writeFile(join(rootfs, 'changed'), 'upper', { flag: 'a' });
    await writeFile(join(rootfs, 'a'), 'a', { mode: 0o4751 });
    await run('ln', [join(rootfs, 'a'), join(rootfs, 'b')]);
    await run('chown', ['4000000000:7', join(rootfs, 'a')]);
    await run('chmod', ['4751', join(rootfs, 'a')]);
    await run('ln', ['-s', '/etc/shadow', join(rootfs, 'link')]);
    await run('ln', ['-s', '../../..', join(rootfs, 'up')]);
    await run('mkfifo', [join(rootfs, 'fifo')]);
    await run('truncate', ['-s', '64M', join(rootfs, 'sparse')]);
    await run('dd', [
      'if=/dev/urandom',
      `of=${join(rootfs, 'sparse')}`,
      'bs=4096',
      'count=3',
      'seek=1000',
      'conv=notrunc',
    ]);
    await writeFile(join(rootfs, 'x'.repeat(250)), 'long');
    await writeFile(Buffer.concat([Buffer.from(`${rootfs}/`), Buffer.from([0xff, 0x0a, 0x22])]), 'bytes');
    const capability = Buffer.from('0100000280000000000000000000000000000000', 'hex');
    const attributes = new Map([
      ['security.capability', capability],
      ['user.note', Buffer.from('=\n=')],
    ]);
    const withXattrs = testArchive([{ ...plainEntry('file', 'xattrs'), xattrs: attributes }]);
    await extractTar(inPieces(withXattrs, 512), rootfs, { code: 'E_INTERNAL', timeoutMs: 5000 });
    const socket = createServer().listen(join(rootfs, 'socket'));
    t.teardown(() => new Promise<void>((closed) => socket.close(() => closed())));
    const upper = join(containerDir, 'upper');
    const copy = join(directory, 'copy');
    await unpackUpper(packUpper(upper), copy);
    t.is(await snapshot(copy), await snapshot(upper));
    t.true((await readdir(upper)).includes('socket'));
    t.false((await readdir(copy)).includes('socket'));
    const { stdout } = await run('du', ['-s', '--block-size=1', join(copy, 'sparse')]);
    t.true(Number.parseInt(stdout, 10) < 1 << 20, 'holes stay holes');
    const whole = (await buffer(packUpper(copy))).toString('latin1');
    t.true(whole.includes('SCHILY.xattr.trusted.overlay.opaque=y'));
    t.false(whole.includes('overlay.origin'));
  } finally {
    await unmountRootfs(containerDir);
  }
  // The copy serves as upper directory on another node.
  await rm(join(containerDir, 'upper'), { recursive: true });
  await run('mv', [join(directory, 'copy'), join(containerDir, 'upper')]);
  await mountRootfs({ layers: [lower], containerDir });
  try {
    t.deepEqual(await readdir(join(rootfs, 'replaced')), ['new']);
    const names = await readdir(rootfs);
    t.false(names.includes('gone') || names.includes('deleted'));
  } finally {
    await unmountRootfs(containerDir);
  }
});

const hostile: Record<string, Member[]> = {
  up: [{ type: 'file', path: './../escape', content: 'x' }],
  absolute: [{ type: 'file', path: '/escape', content: 'x' }],
  'through a link': [
    { type: 'symlink', path: './a', linkPath: '..' },
    { type: 'file', path: './a/escape', content: 'x' },
  ],
  'hard link out': [{ type: 'hardlink', path: './a', linkPath: '/etc/passwd' }],
  device: [{ type: 'block', path: './disk', deviceMajor: 8, deviceMinor: 0 }],
};
for (const [what, members] of Object.entries(hostile)) {
  asRoot(`hostile upper directory: ${what}`, async (t) => {
    const directory = await scratch(t);
    const error = await t.throwsAsync(unpackUpper(inPieces(testArchive(members), 700), join(directory, 'upper')), {
      instanceOf: RankshiftError,
    });
    t.is(error?.code, 'E_LINK');
    t.deepEqual(await readdir(directory), ['upper']);
    t.false((await readdir(join(directory, 'upper'))).includes('escape'));
  });
}

asRoot('a stream that is cut short or breaks is an error, and so is a directory in use', async (t) => {
  const directory = await scratch(t);
  const source = join(directory, 'source');
  await mkdir(source);
  await writeFile(join(source, 'a'), 'a'.repeat(100_000));
  const archive = await buffer(packUpper(source));
  const cut = await t.throwsAsync(unpackUpper(inPieces(archive.subarray(0, 60_000), 4096), join(directory, '1')), {
    instanceOf: RankshiftError,
  });
  t.is(cut?.code, 'E_LINK');
  const breaking = (async function* () {
    yield archive.subarray(0, 2000);
    throw new Error('connection reset');
  })();
  const broken = await t.throwsAsync(unpackUpper(breaking, join(directory, '2')), { instanceOf: RankshiftError });
  t.is(broken?.code, 'E_LINK');
  const busy = await t.throwsAsync(unpackUpper(inPieces(archive, 4096), source), { instanceOf: RankshiftError });
  t.is(busy?.code, 'E_BUSY');
  await t.throwsAsync(buffer(packUpper(join(directory, 'absent'))), { instanceOf: RankshiftError });
});
