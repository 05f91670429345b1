import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { type Build, buildPrograms, builds, program } from '../init/testing.ts';
import { run } from '../process/run.ts';

const asRoot = process.getuid?.() === 0 ? test : test.skip;

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

interface Ended {
  code: number | null;
  stderr: string;
}

function start(t: ExecutionContext, file: string, args: string[], pipes: number) {
  const child: ChildProcess = spawn(file, args, {
    stdio: Array.from({ length: pipes }, () => 'pipe' as const),
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, stderr })));
  return { child, ended };
}

/** A source and a target, connected; the directories and the control group of the former's processes. */
function copying(t: ExecutionContext, build: Build) {
  const directory = mkdtempSync('/tmp/rankshift-upper-');
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const [from, to, cgroup] = [join(directory, 'from'), join(directory, 'to'), join(directory, 'cgroup')];
  for (const each of [from, to, cgroup]) mkdirSync(each);
  writeFileSync(join(cgroup, 'cgroup.procs'), '');
  const source = start(t, program(build, 'rankshift-upper'), ['source', from, cgroup], 4);
  const target = start(t, program(build, 'rankshift-upper'), ['target', to, join(directory, 'stage')], 3);
  if (source.child.stdout === null || target.child.stdin === null || target.child.stdout === null)
    throw new Error('pipes');
  source.child.stdout.pipe(target.child.stdin);
  const reports = createInterface({ input: source.child.stdio[3] as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const applied = createInterface({ input: target.child.stdout })[Symbol.asyncIterator]();
  const pass = async (command = 'pass') => {
    source.child.stdin?.write(`${command}\n`);
    const { value, done } = await reports.next();
    if (done === true) throw new Error(`source: ${JSON.stringify(await source.ended)}`);
    if ((await applied.next()).done === true) throw new Error(`target: ${JSON.stringify(await target.ended)}`);
    return JSON.parse(value as string) as { entries: number; changed: number; bytes: number; ms: number };
  };
  const final = async () => {
    const report = await pass('final');
    t.deepEqual(await source.ended, { code: 0, stderr: '' });
    t.deepEqual(await target.ended, { code: 0, stderr: '' });
    return report;
  };
  return { directory, from, to, cgroup, pass, final, source, target };
}

/** Everything that a file system knows about a tree: an archive of it, and how much of each file is holes. */
async function contentOf(directory: string): Promise<string> {
  const options = ['--sort=name', '--format=pax', '--pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime'];
  const archive = join(directory, '..', 'archive');
  await run('tar', [
    '-cf',
    archive,
    ...options,
    '--numeric-owner',
    '--xattrs',
    '--xattrs-include=*',
    '-C',
    directory,
    '.',
  ]);
  const holes = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => `${path.slice(directory.length)} ${lstatSync(path).blocks}`)
    .toSorted();
  const listed = (await run('tar', ['-tvf', archive, '--numeric-owner', '--full-time'])).stdout;
  return `${listed}${holes.join('\n')}\n${createHash('sha256').update(readFileSync(archive)).digest('hex')}`;
}

async function same(t: ExecutionContext, { from, to }: { from: string; to: string }): Promise<void> {
  t.deepEqual((await contentOf(to)).split('\n'), (await contentOf(from)).split('\n'));
}

/** setxattr(2) by Python, which Debian has everywhere; attr(1) it has not. */
const python = (script: string, ...args: string[]) => run('python3', ['-c', `import os,sys\n${script}`, ...args]);
const setXattr = (path: string, name: string, value: string) =>
  python(
    'os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]), follow_symlinks=False)',
    path,
    name,
    Buffer.from(value, 'latin1').toString('hex'),
  );

for (const build of builds) {
  asRoot(`${build}: all kinds of files, and every kind of change between passes`, async (t) => {
    const copy = copying(t, build);
    const at = (name: string) => join(copy.from, name);
    mkdirSync(at('d/e/f'), { recursive: true });
    writeFileSync(at('d/plain'), 'plain');
    chmodSync(at('d/plain'), 0o4750);
    await run('chown', ['12:34', at('d/plain')]);
    linkSync(at('d/plain'), at('d/e/linked'));
    symlinkSync('/etc/passwd', at('d/link'));
    symlinkSync('x'.repeat(300), at('long link'));
    await run('mkfifo', ['-m', '620', at('fifo')]);
    await run('mknod', [at('whiteout'), 'c', '0', '0']);
    writeFileSync(at('d/same size'), 'aaaa');
    writeFileSync(at('moves'), 'm'.repeat(1000));
    writeFileSync(at('becomes a directory'), '');
    mkdirSync(at('becomes a file/with/more'), { recursive: true });
    writeFileSync(at('becomes a file/with/more/in it'), 'x');
    writeFileSync(at('a'), 'A');
    writeFileSync(at('b'), 'B');
    const sparse = openSync(at('sparse'), 'w');
    ftruncateSync(sparse, 1 << 26);
    writeSync(sparse, 'in the middle', 30_000_000);
    closeSync(sparse);
    writeFileSync(at('large'), Buffer.alloc(1_000_000, 'l'));
    await setXattr(at('d'), 'trusted.overlay.opaque', 'y');
    await setXattr(at('d'), 'trusted.overlay.origin', 'of this node');
    await setXattr(at('d/plain'), 'user.note', 'n');
    await setXattr(at('d/plain'), 'security.capability', `\x01\x00\x00\x02\x80\x00\x00\x00${'\x00'.repeat(12)}`);
    await setXattr(at('d/link'), 'trusted.on-a-link', 'l');
    utimesSync(at('d/e'), 1, 1234567890.123);
    const first = await copy.pass();
    t.true(first.bytes < 1_200_000, 'holes do not travel');
    await python('os.removexattr(sys.argv[1], "trusted.overlay.origin")', at('d'));
    await same(t, copy);

    const { mtime } = statSync(at('d/same size'));
    writeFileSync(at('d/same size'), 'bbbb');
    utimesSync(at('d/same size'), mtime, mtime);
    renameSync(at('moves'), at('d/e/f/moved'));
    renameSync(at('d/e'), at('e is here'));
    rmSync(at('becomes a directory'));
    mkdirSync(at('becomes a directory/deep'), { recursive: true });
    rmSync(at('becomes a file'), { recursive: true });
    writeFileSync(at('becomes a file'), 'file');
    renameSync(at('a'), at('c'));
    renameSync(at('b'), at('a'));
    renameSync(at('c'), at('b'));
    linkSync(at('a'), at('z'));
    rmSync(at('fifo'));
    await python('os.removexattr(sys.argv[1], "user.note")', at('d/plain'));
    await python(
      'import ctypes\nf=os.open(sys.argv[1],os.O_RDWR)\nctypes.CDLL(None).fallocate(f,3,ctypes.c_long(131072),ctypes.c_long(131072+4096))\nos.pwrite(f,b"w",700000)',
      at('large'),
    );
    const hole = openSync(at('sparse'), 'r+');
    writeSync(hole, 'more', 50_000_000);
    ftruncateSync(hole, 60_000_000);
    closeSync(hole);
    const second = await copy.final();
    t.true(
      second.bytes < 200_000,
      `${second.bytes} bytes: what only moved does not travel, nor the rest of a large file`,
    );
    await same(t, copy);
  });

  asRoot(`${build}: whatever is done at random between passes, the copy is the same`, async (t) => {
    t.timeout(120_000);
    let seed = Number(process.env['SEED'] ?? Date.now() % 1e9);
    t.log(`SEED=${seed}`);
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * n);
    };
    const copy = copying(t, build);
    const paths = () => readdirSync(copy.from, { recursive: true }).map((name) => join(copy.from, String(name)));
    const act = () => {
      const all = [...paths(), copy.from];
      const pick = () => all[random(all.length)] ?? copy.from;
      const inside = () => (lstatSync(pick()).isDirectory() ? pick() : copy.from);
      const fresh = () => {
        const directory = inside();
        return join(lstatSync(directory).isDirectory() ? directory : copy.from, `n${random(12)}`);
      };
      const [name, other] = [fresh(), pick()];
      const size = random(3) === 0 ? random(700_000) : random(50);
      switch (random(10)) {
        case 0:
        case 1:
          return mkdirSync(name);
        case 2:
        case 3:
          return writeFileSync(name, Buffer.alloc(size, String(random(10))));
        case 4:
          return other === copy.from ? undefined : renameSync(other, name);
        case 5:
          return linkSync(other, name);
        case 6:
          return other === copy.from ? undefined : rmSync(other, { recursive: true });
        case 7:
          return symlinkSync('../outside', name);
        case 8:
          return lstatSync(other).isFile() ? appendFileSync(other, 'more') : chmodSync(other, 0o700 + random(8));
        default: {
          if (!lstatSync(other).isFile()) return;
          const file = openSync(other, 'r+');
          writeSync(file, String(random(1000)), random(lstatSync(other).size + 100_000));
          closeSync(file);
        }
      }
    };
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 40; i++) {
        try {
          act();
        } catch {
          // What cannot be done is no change.
        }
      }
      if (round === 11) break;
      await copy.pass();
      if (round % 3 === 2) await same(t, copy);
    }
    await copy.final();
    await same(t, copy);
  });

  asRoot(`${build}: memory that is a file is compared although no time tells that it was written`, async (t) => {
    const copy = copying(t, build);
    const file = join(copy.from, 'mapped');
    writeFileSync(file, Buffer.alloc(400_000, 'a'));
    const script = `import mmap\nf=os.open(sys.argv[1],os.O_RDWR)\nm=mmap.mmap(f,0)\nm[0:1]=b'x'\nprint(1,flush=True)\nsys.stdin.readline()\nm[399999:]=b'y'\nm.close()\nos.close(f)\nprint(2,flush=True)\nsys.stdin.readline()`;
    // In a mount namespace of its own, with the directory as root, as a container is.
    const child = spawn('unshare', ['--mount', 'python3', '-c', `import os,sys\n${script}`, file], { stdio: 'pipe' });
    t.teardown(() => child.kill('SIGKILL'));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    await lines.next();
    // The test has no root of its own to see the file under the container's path.
    const path = join(copy.from, copy.from.slice(1));
    mkdirSync(path, { recursive: true });
    linkSync(file, join(path, 'mapped'));
    await sleep(200);
    writeFileSync(join(copy.cgroup, 'cgroup.procs'), `${child.pid}\n`);
    await copy.pass();
    child.stdin.write('\n');
    await lines.next();
    const { bytes } = await copy.final();
    t.is(readFileSync(join(copy.to, 'mapped'), 'latin1'), `x${'a'.repeat(399_998)}y`);
    t.true(bytes < 150_000, `${bytes} bytes: one block of it`);
  });

  asRoot(`${build}: a hostile or broken stream reaches nothing outside and is refused`, async (t) => {
    const record = (operation: string, payload: Buffer) => {
      const head = Buffer.alloc(5);
      head.write(operation, 'latin1');
      head.writeUInt32LE(payload.length, 1);
      return Buffer.concat([head, payload]);
    };
    const two = (first: string, second: string) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(first.length);
      return Buffer.concat([length, Buffer.from(first + second)]);
    };
    const file = (path: string, origin = 0) => {
      const head = Buffer.alloc(24);
      head.writeBigUInt64LE(100n, 8);
      head.writeUInt32LE(origin, 16);
      return record('F', Buffer.concat([head, Buffer.from(path)]));
    };
    const node = Buffer.alloc(4);
    node.writeUInt32LE(0o060644);
    const directory = mkdtempSync('/tmp/rankshift-upper-');
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const link = record('L', two('out', '..'));
    const streams: Record<string, [Buffer, RegExp]> = {
      'a path upwards': [file('../evil'), /leads elsewhere/],
      'a path upwards inside': [file('a/../../evil'), /leads elsewhere/],
      'an absolute path': [file('/tmp/evil'), /leads elsewhere/],
      'through a link': [Buffer.concat([link, file('out/evil')]), /cannot come to/],
      'onto a link': [Buffer.concat([record('L', two('l', '/etc/passwd')), file('l', 2)]), /cannot open/],
      'a hard link from outside': [record('K', two('x', '../secret')), /leads elsewhere/],
      'a hard link through a link': [Buffer.concat([link, record('K', two('x', 'out/secret'))]), /cannot come to/],
      'removal upwards': [record('R', Buffer.from('../secret')), /leads elsewhere/],
      'a device': [record('N', Buffer.concat([node, Buffer.from('sda')])), /is a device/],
      'data without a file': [record('W', Buffer.alloc(16)), /malformed/],
      'data behind the end': [Buffer.concat([file('f'), record('W', Buffer.alloc(8 + 101))]), /behind the end/],
      'an unknown record': [record('?', Buffer.alloc(0)), /unknown kind/],
      'a huge record': [Buffer.from([0x57, 255, 255, 255, 255]), /a record of/],
      'an early end': [file('f').subarray(0, 20), /ended early/],
      'no end': [file('f'), /ended early/],
    };
    for (const [name, [bytes, message]] of Object.entries(streams)) {
      const to = join(directory, name, 'to');
      mkdirSync(to, { recursive: true });
      writeFileSync(join(directory, name, 'secret'), 'untouched');
      const { child, ended } = start(
        t,
        program(build, 'rankshift-upper'),
        ['target', to, join(directory, name, 'stage')],
        3,
      );
      child.stdin?.end(bytes);
      const { code, stderr } = await ended;
      t.is(code, 1, name);
      t.regex(stderr, message, name);
      t.deepEqual(
        readdirSync(join(directory, name))
          .filter((left) => left !== 'stage')
          .toSorted(),
        ['secret', 'to'],
        name,
      );
      t.is(readFileSync(join(directory, name, 'secret'), 'utf8'), 'untouched');
    }
  });

  asRoot(`${build}: sockets are left out, a full directory and a device are refused`, async (t) => {
    const copy = copying(t, build);
    const server = createServer().listen(join(copy.from, 'socket'));
    t.teardown(() => server.close());
    await sleep(50);
    await copy.pass();
    t.deepEqual(readdirSync(copy.to), []);
    const second = start(t, program(build, 'rankshift-upper'), ['target', copy.from, join(copy.directory, 'other')], 3);
    t.is((await second.ended).code, 4);
    await run('mknod', [join(copy.from, 'null'), 'c', '1', '3']);
    await t.throwsAsync(copy.pass(), { message: /null is a device/ });
  });
}
