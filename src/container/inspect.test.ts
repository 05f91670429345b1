import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { run } from '../process/run.ts';
import { inspectProcesses } from './inspect.ts';
import { inodeObstacle, splitDeviceNumber } from './inspect-devices.ts';
import { hugePageObstacle, mappingObstacles } from './inspect-memory.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rankshift-inspect-'));
const holder = join(scratch, 'holder');
const children: ChildProcess[] = [];

test.before(async () => {
  await run('gcc', ['-Wall', '-Wextra', '-Werror', '-o', holder, join(import.meta.dirname, 'fixtures', 'holder.c')]);
});
test.after.always(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(scratch, { recursive: true });
});

/** Starts the holder; undefined where this kernel does not let it have the thing. */
async function hold(what: string): Promise<number | undefined> {
  const child = spawn(holder, [what], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  const ready = await new Promise<boolean>((resolve) => {
    child.stdout.once('data', () => resolve(true));
    child.once('exit', () => resolve(false));
  });
  return ready ? child.pid : undefined;
}

/** A sleeping process with a descriptor of ours as its standard output. */
async function sleeperWith(path: string, flags: string, command = ['sleep', '60']): Promise<number> {
  const descriptor = openSync(path, flags);
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', descriptor, 'ignore'] });
  closeSync(descriptor);
  children.push(child);
  await sleep(150);
  return child.pid ?? 0;
}

const codes: [string, string, RegExp][] = [
  ['io_uring', 'io-uring', /^holder \(process \d+\) uses an io_uring$/],
  ['perf_event', 'perf-event', /performance counter/],
  ['bpf', 'bpf', /BPF/],
  ['userfaultfd', 'userfaultfd', /userfaultfd/],
  ['fanotify', 'fanotify', /fanotify/],
];

for (const [what, code, message] of codes) {
  test(`finds ${what}`, async (t) => {
    const pid = await hold(what);
    if (pid === undefined) {
      t.log(`this kernel refuses ${what}; only the name was checked`);
      t.is(inodeObstacle(`anon_inode:[${what}]`)?.code, code);
      return;
    }
    const { reasons } = await inspectProcesses([pid]);
    t.is(reasons.length, 1);
    t.like(reasons[0], { code, pid, command: 'holder' });
    t.regex(reasons[0]?.message ?? '', message);
  });
}

test('finds a device, by number and by its own name', async (t) => {
  const pid = await sleeperWith('/dev/fuse', 'r+');
  const { reasons } = await inspectProcesses([pid]);
  t.deepEqual(reasons, [
    { code: 'other-device', message: `sleep (process ${pid}) uses the device /dev/fuse`, pid, command: 'sleep' },
  ]);
});

test('finds a file of the node in a process with mounts of its own, and lets its own files pass', async (t) => {
  const file = join(scratch, 'outside');
  writeFileSync(file, 'x');
  const pid = await sleeperWith(file, 'r+', ['unshare', '--mount', 'sleep', '60']);
  const { reasons } = await inspectProcesses([pid]);
  t.like(reasons[0], { code: 'host-file' });
  t.true(reasons[0]?.message.includes(file));
  t.deepEqual((await inspectProcesses([await sleeperWith(file, 'r+')])).reasons, []);
});

test('finds a tracer and names it', async (t) => {
  const pid = await hold('traced');
  const { reasons } = await inspectProcesses([pid ?? 0]);
  t.like(reasons[0], { code: 'traced' });
  t.true(reasons[0]?.message.includes(`(process ${process.pid})`), reasons[0]?.message);
});

test('plain files, devices, pipes, sockets and ended processes are no obstacle; memory is added up', async (t) => {
  const [one, two] = [await hold('memory'), await hold('memory')];
  const plain = [await sleeperWith('/dev/null', 'r+'), await sleeperWith('/dev/zero', 'r'), process.ppid];
  const { reasons, memory } = await inspectProcesses([one ?? 0, two ?? 0, 2 ** 22 + 7]);
  t.deepEqual(reasons, []);
  t.deepEqual((await inspectProcesses(plain)).reasons, []);
  const mib = 1024 * 1024;
  t.true(memory.rssBytes >= 96 * mib && memory.rssBytes < 120 * mib, String(memory.rssBytes));
  t.true(memory.pssBytes >= 96 * mib && memory.pssBytes <= memory.rssBytes);
  t.true(memory.shmemBytes >= 32 * mib && memory.shmemBytes < 40 * mib, String(memory.shmemBytes));
  t.is(memory.processes, 2);
  t.is(memory.threads, 2);
  t.true(memory.mappings > 10);
});

test('a process that has ended and was not waited for is no obstacle', async (t) => {
  // The shell becomes a sleep that never waits for its child.
  const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(parent);
  const zombie = await new Promise<number>((resolve) => {
    parent.stdout.once('data', (data: Buffer) => resolve(Number(data)));
  });
  for (let left = 100; !/^State:\s+Z/m.test(await readFile(`/proc/${zombie}/status`, 'utf8')); left -= 1) {
    if (left === 0) throw new Error('the child has not ended');
    await sleep(20);
  }
  // Its files fail in different ways, and any of them may be the first to.
  t.deepEqual((await inspectProcesses(Array<number>(500).fill(zombie))).reasons, []);
});

test('mappings of devices and huge pages', (t) => {
  const line = (name: string) => `7f0000000000-7f0000001000 rw-s 00000000 00:05 123${' '.repeat(20)}${name}\n`;
  const found = (name: string) => mappingObstacles(line(name)).map(({ code }) => code);
  t.deepEqual(found('/dev/infiniband/uverbs0'), ['rdma-device']);
  t.deepEqual(found('/dev/nvidia0'), ['gpu-device']);
  t.deepEqual(found('/dev/mem'), ['device-memory']);
  t.deepEqual(found('/sys/devices/pci0000:00/0000:00:02.0/resource0'), ['device-memory']);
  t.deepEqual(found('anon_inode:[io_uring]'), ['io-uring']);
  t.deepEqual(found('/anon_hugepage (deleted)'), ['huge-pages']);
  for (const name of [
    '/dev/shm/x',
    '/dev/zero (deleted)',
    '[vdso]',
    '[heap]',
    '/memfd:a (deleted)',
    '/usr/lib/a b.so',
  ]) {
    t.deepEqual(found(name), [], name);
  }
  t.is(hugePageObstacle('Private_Hugetlb:       2048 kB\n')?.code, 'huge-pages');
  t.is(hugePageObstacle('Private_Hugetlb:          0 kB\n'), undefined);
});

test('kernel objects: what CRIU saves passes, what is not known does not', (t) => {
  for (const name of ['[eventfd]', '[eventpoll]', '[timerfd]', '[signalfd]', 'inotify', '[pidfd]']) {
    t.is(inodeObstacle(`anon_inode:${name}`), undefined, name);
  }
  t.is(inodeObstacle('anon_inode:[infinibandevent]')?.code, 'rdma-device');
  t.is(inodeObstacle('anon_inode:bpf-prog')?.code, 'bpf');
  t.is(inodeObstacle('anon_inode:[something-new]')?.code, 'unsupported-file');
  t.is(inodeObstacle('socket:[1]'), undefined);
});

test('splits device numbers as makedev(3) joins them', (t) => {
  t.deepEqual(splitDeviceNumber(0x103), { major: 1, minor: 3 });
  t.deepEqual(splitDeviceNumber(0x1200312), { major: 3, minor: 0x1212 });
});
