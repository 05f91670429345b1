import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import fc from 'fast-check';
import { type Build, buildPrograms, builds, program } from '../init/testing.ts';
import { run } from '../process/run.ts';

/** As CRIU gives them (criu/filesystems.c, tmpfs_dump and tmpfs_restore). */
const packing = [
  ...['--create', '--gzip', '--no-unquote', '--no-wildcards', '--one-file-system', '--check-links'],
  ...['--preserve-permissions', '--sparse', '--numeric-owner', '--directory'],
];
const unpacking = ['--extract', '--gzip', '--no-unquote', '--no-wildcards', '--directory'];
const page = 4096;
/** One after another: they run programs to their ends, and another's time-out would go on meanwhile. */
const asRoot = process.getuid?.() === 0 ? test.serial : test.serial.skip;

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

function directory(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), 'rankshift-tmpfs-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function pack(build: Build, from: string): Buffer {
  const fd = openSync(from, 'r');
  try {
    const argv = [...packing, '/proc/self/fd/0', '.'];
    return spawnSync(program(build, 'criu-path/tar'), argv, { stdio: [fd, 'pipe', 'pipe'], maxBuffer: 2 ** 26 }).stdout;
  } finally {
    closeSync(fd);
  }
}

/** From a file, as CRIU has its images. */
function unpack(build: Build, packed: Uint8Array, to: string) {
  const file = `${to}.packed`;
  writeFileSync(file, packed);
  const fd = openSync(file, 'r');
  try {
    const { status, stderr } = spawnSync(program(build, 'criu-path/tar'), [...unpacking, to], {
      stdio: [fd, 'pipe', 'pipe'],
    });
    return { exitCode: status, stderr: stderr.toString() };
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}

/** All there is to see below a directory; names of one file share its first name. */
function listing(root: string): Record<string, unknown> {
  const seen: Record<string, unknown> = {};
  const first = new Map<number, string>();
  const look = (path: string) => {
    const { mode, uid, gid, rdev, size, mtimeMs, ino, nlink } = lstatSync(join(root, path));
    const kind = mode & 0o170000;
    if (kind === 0o140000) return;
    const same = kind === 0o040000 || nlink < 2 ? path : (first.get(ino) ?? path);
    first.set(ino, same);
    const content =
      kind === 0o100000
        ? readFileSync(join(root, path), 'base64')
        : kind === 0o120000
          ? readlinkSync(join(root, path))
          : '';
    seen[path] = { mode, uid, gid, rdev, mtimeMs, same, content, size: kind === 0o040000 ? 0 : size };
    if (kind === 0o040000) for (const name of readdirSync(join(root, path)).sort()) look(join(path, name));
  };
  look('.');
  return seen;
}

for (const build of builds) {
  asRoot(`${build}: everything that a tmpfs holds comes back`, async (t) => {
    const [from, to] = [directory(t), directory(t)];
    mkdirSync(join(from, 'shm/deep/er'), { recursive: true });
    writeFileSync(join(from, 'shm/of a user'), 'content');
    chownSync(join(from, 'shm/of a user'), 1000, 1001);
    chmodSync(join(from, 'shm/of a user'), 0o6751);
    chmodSync(join(from, 'shm'), 0o1777);
    linkSync(join(from, 'shm/of a user'), join(from, 'shm/deep/er/again'));
    linkSync(join(from, 'shm/of a user'), join(from, 'and again'));
    writeFileSync(join(from, 'empty'), '');
    symlinkSync('/nowhere/at all', join(from, 'dangling'));
    symlinkSync('shm', join(from, 'link'));
    await run('mknod', ['-m', '666', join(from, 'null'), 'c', '1', '3']);
    await run('mknod', ['-m', '640', join(from, 'disk'), 'b', '7', '200']);
    await run('mkfifo', ['-m', '600', join(from, 'fifo')]);
    const sparse = openSync(join(from, 'sparse'), 'w');
    writeSync(sparse, Buffer.alloc(page, 1), 0, page, 64 * page);
    writeSync(sparse, Buffer.alloc(3 * page), 0, 3 * page, 65 * page);
    writeSync(sparse, Buffer.from('end'), 0, 3, 600 * page + 5);
    ftruncateSync(sparse, 2000 * page + 7);
    closeSync(sparse);
    const server = createServer().listen(join(from, 'socket'));
    t.teardown(() => server.close());
    utimesSync(join(from, 'shm/deep'), 1_000_000_000, 1_234_567_890.25);
    const packed = pack(build, from);
    t.true(packed.length < 5 * page, String(packed.length));
    const { exitCode, stderr } = unpack(build, packed, to);
    t.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    t.deepEqual(listing(to), listing(from));
    t.true(lstatSync(join(to, 'sparse')).blocks * 512 <= 3 * page);
  });

  asRoot(`${build}: any tree comes back`, async (t) => {
    t.timeout(120_000);
    const name = fc
      .string({ minLength: 1, maxLength: 20, unit: 'binary' })
      .map((text) => text.replace(/[/\0.\ud800-\udfff]/g, '_'));
    const bytes = fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
    const entry = fc.record({ name, inside: fc.boolean(), bytes, mode: fc.nat(0o7777), uid: fc.nat(70_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 12 }), async (entries) => {
        const [from, to] = [
          mkdtempSync(join(tmpdir(), 'rankshift-tmpfs-')),
          mkdtempSync(join(tmpdir(), 'rankshift-tmpfs-')),
        ];
        try {
          mkdirSync(join(from, 'inside'));
          for (const { name: own, inside, bytes: runs, mode, uid } of entries) {
            const path = join(from, inside ? 'inside' : '', `f${own}`);
            const fd = openSync(path, 'w');
            for (const [at, value] of runs) writeSync(fd, Buffer.alloc(page + 9, value), 0, page + 9, at * page);
            closeSync(fd);
            chownSync(path, uid, uid);
            chmodSync(path, mode);
          }
          const { exitCode } = unpack(build, pack(build, from), to);
          t.is(exitCode, 0);
          t.deepEqual(listing(to), listing(from));
        } finally {
          for (const path of [from, to]) rmSync(path, { recursive: true, force: true });
        }
      }),
      { numRuns: 15 },
    );
  });

  asRoot(
    `${build}: what is cut off, or names what lies elsewhere, is refused and nothing is written there`,
    async (t) => {
      const from = directory(t);
      mkdirSync(join(from, 'aa'));
      writeFileSync(join(from, 'aa/file'), 'x'.repeat(100));
      const packed = pack(build, from);
      for (const length of [8, 20, 60, packed.length - 100, packed.length - 1]) {
        const { exitCode, stderr } = unpack(build, packed.subarray(0, length), directory(t));
        t.is(exitCode, 1, String(length));
        t.regex(stderr, /ends in the middle/);
      }
      const to = directory(t);
      const name = packed.indexOf('aa');
      for (const wrong of ['..', '/x', '.\0', 'a/']) {
        const changed = Buffer.from(packed);
        changed.write(wrong, name);
        t.is(unpack(build, changed, to).exitCode, 1, wrong);
      }
      const outside = directory(t);
      const into = directory(t);
      symlinkSync(outside, join(into, 'aa'));
      t.is(unpack(build, packed, into).exitCode, 1);
      t.deepEqual(readdirSync(outside), []);
    },
  );

  asRoot(`${build}: what tar itself packed is unpacked by tar`, async (t) => {
    const [from, to] = [directory(t), directory(t)];
    writeFileSync(join(from, 'file'), 'content');
    const { stdout } = await execa('tar', [...packing, from, '.'], { encoding: 'buffer' });
    t.is(unpack(build, stdout, to).exitCode, 0);
    t.is(readFileSync(join(to, 'file'), 'utf8'), 'content');
  });
}
