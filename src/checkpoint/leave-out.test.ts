import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { cgroupMount, freeze, processesOf } from '../container/cgroup.ts';
import { buildPrograms, start } from '../init/testing.ts';
import { run } from '../process/run.ts';
import { takesLibrary } from './self-test.ts';

const library = resolve('build/bin/rankshift-leave-out.so');
const tools = mkdtempSync('/tmp/rankshift-leave-out-');
const page = 4096n;

/** Says where its memory is: a large mapping, one with the stack of a thread that waits, a small one, a guard (or 0). */
const subject = `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#define LARGE (4UL << 20)
static int ends[2];
static void *wait_there(void *none) { char c; printf("%p\\n", (void *)&c); fflush(stdout); return read(ends[0], &c, 1) < 0 ? NULL : none; }
static char *filled(unsigned long size) {
  char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(at, 7, size);
  return at;
}
int main(int argc, char **argv) {
  pthread_attr_t attributes;
  pthread_t thread;
  char *large = filled(LARGE);
  /* A page in between that nobody may join to its neighbours. */
  char *guard = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (madvise(guard, 4096, MADV_GUARD_INSTALL) < 0) guard = NULL;
  char *stack = filled(LARGE);
  mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *small = filled(64 << 10);
  if (argc > 1 && strcmp(argv[1], "locked") == 0 && mlock(small, 4096) < 0) return 1;
  if (pipe(ends) < 0) return 1;
  printf("%p %p %p %#lx ", large, stack, small, (unsigned long)guard);
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, LARGE);
  pthread_create(&thread, &attributes, wait_there, NULL);
  pthread_join(thread, NULL);
  return 0;
}`;

/** Asks as CRIU does for START..END of a process, so many ranges at a time; for pages, or for guards. */
const asking = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "${resolve('src/pages/uapi.h')}"
int main(int argc, char **argv) {
  struct page_region found[1024];
  char path[64], *big = malloc(3000017), *copy = malloc(3000017);
  snprintf(path, sizeof path, "/proc/%s/pagemap", argv[1]);
  int fd = open(path, O_RDONLY);
  struct pm_scan_arg scan = { .size = sizeof scan, .start = strtoull(argv[2], NULL, 0), .end = strtoull(argv[3], NULL, 0),
    .vec = (unsigned long)found, .vec_len = strtoul(argv[4], NULL, 0), .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
    .return_mask = PAGE_IS_PRESENT };
  if (argc > 5) {
    scan.category_anyof_mask = 0;
    scan.category_mask = scan.return_mask = PAGE_IS_GUARD;
  }
  while (scan.start < scan.end) {
    int count = ioctl(fd, PAGEMAP_SCAN, &scan);
    if (count < 0 || scan.walk_end <= scan.start) return 1;
    for (int i = 0; i < count; i++) printf("%llx-%llx\\n", (unsigned long long)found[i].start, (unsigned long long)found[i].end);
    scan.start = scan.walk_end;
  }
  /* A copy of a list of which a part was written, over what was something else. */
  memset(copy + 5000, 9, 500000);
  for (int i = 0; i < 9000; i++) big[i * 3] = (char)i;
  big[3000016] = 1;
  void *(*volatile function)(void *, const void *, size_t) = memcpy;
  function(copy, big, 3000017);
  return memcmp(copy, big, 3000017) == 0 ? 0 : 2;
}`;

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
  for (const [name, text] of Object.entries({ subject, criu: asking })) {
    writeFileSync(join(tools, `${name}.c`), text);
    await run('gcc', ['-O1', '-pthread', '-o', join(tools, name), join(tools, `${name}.c`)], { timeoutMs: 60_000 });
  }
});
test.after.always(() => rmSync(tools, { recursive: true, force: true }));

async function startFrozen(t: ExecutionContext, ...args: string[]) {
  const mount = await cgroupMount();
  if (mount === null) throw new Error('no cgroup2');
  const cgroup = join(mount.point, `rankshift-leave-out-test-${process.pid}-${args.join()}`);
  mkdirSync(cgroup);
  const script = `echo $$ > ${cgroup}/cgroup.procs; exec "$@"`;
  const { child, ended } = start('sh', ['-c', script, 'sh', join(tools, 'subject'), ...args], { keepInput: true });
  t.teardown(async () => {
    writeFileSync(join(cgroup, 'cgroup.kill'), '1');
    while ((await processesOf(cgroup)).length > 0) await sleep(5);
    await ended;
    rmdirSync(cgroup);
  });
  if (child.stdout === null) throw new Error('no output');
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  await sleep(50);
  await freeze(cgroup);
  const [large = 0n, stack = 0n, small = 0n, guard = 0n] = String(line).trim().split(' ').map(BigInt);
  return { cgroup, pid: String(child.pid), large, stack, small, guard };
}

/** Every page that is answered between two addresses. */
async function pagesSeen(
  pid: string,
  start: bigint,
  end: bigint,
  most: number,
  env: Record<string, string>,
  ...more: string[]
) {
  const argv = [pid, `0x${start.toString(16)}`, `0x${end.toString(16)}`, String(most), ...more];
  const { stdout } = await run(join(tools, 'criu'), argv, { env });
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : pagesOf(line)));
}

/** Addresses of the pages of `START-END`. */
function pagesOf(range: string): bigint[] {
  const [from = 0n, to = 0n] = range.split('-').map((text) => BigInt(`0x${text}`));
  return Array.from({ length: Number((to - from) / page) }, (_, index) => from + BigInt(index) * page);
}

/** Pages of private anonymous memory, by /proc/PID/maps. */
function anonymousPages(pid: string): Set<bigint> {
  const mappings = readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(
    /^(\S+) ..[-x]p \S+ 00:00 0 *(?:\[(?:heap|stack|anon:).*)?$/gm,
  );
  return new Set([...mappings].flatMap(([, range = '']) => pagesOf(range)));
}

const size = 4n << 20n;
const within = (pages: readonly bigint[], start: bigint, bytes: bigint) =>
  pages.filter((address) => address >= start && address < start + bytes);

test.serial('private anonymous memory is left out, and nothing else, whatever fits into an answer', async (t) => {
  const { cgroup, pid, large, stack, small, guard } = await startFrozen(t);
  const env = { LD_PRELOAD: library, RANKSHIFT_LEAVE_OUT: cgroup };
  const [low, high] = [0x1000n, (1n << 47n) - page];
  const all = await pagesSeen(pid, low, high, 1000, {});
  t.is(within(all, large, size).length, 1024);
  t.is(within(all, stack, size).length, 1024);
  t.is(within(all, small, 64n << 10n).length, 16);
  const anonymous = anonymousPages(pid);
  const wanted = all.filter((address) => !anonymous.has(address));
  t.true(wanted.length > 10 && all.length - wanted.length > 2064, `${wanted.length} of ${all.length}`);
  for (const most of [1000, 3, 1]) t.deepEqual(await pagesSeen(pid, low, high, most, env), wanted);
  // A question that begins and ends in the middle of what is left out.
  t.deepEqual(await pagesSeen(pid, large + page, large + size - page, 10, env), []);
  // Guard regions (Linux 6.15) are asked for in another way, and have to be restored by CRIU.
  if (guard === 0n) t.log('this kernel has no guard regions');
  else t.true((await pagesSeen(pid, low, high, 10, env, 'guards')).includes(guard));
});

test.serial(
  'nothing is left out of a process with locked memory, of one outside the container, and without a cgroup',
  async (t) => {
    const locked = await startFrozen(t, 'locked');
    const other = await startFrozen(t, 'other');
    const env = { LD_PRELOAD: library, RANKSHIFT_LEAVE_OUT: locked.cgroup };
    const count = async (subject: typeof locked, variables: Record<string, string>) =>
      (await pagesSeen(subject.pid, subject.large, subject.large + size, 100, variables)).length;
    t.is(await count(locked, env), 1024);
    t.is(await count(other, env), 1024);
    t.is(await count(other, { LD_PRELOAD: library, RANKSHIFT_LEAVE_OUT: '/nowhere' }), 1024);
    t.is(await count(other, { LD_PRELOAD: library }), 1024);
    t.is(await count(other, { ...env, RANKSHIFT_LEAVE_OUT: other.cgroup }), 0);
  },
);

test.serial('the self-test sees whether the library comes to CRIU, through a script too', async (t) => {
  const [criu, other] = [join(tools, 'criu-true'), join(tools, 'true')];
  for (const path of [criu, other]) copyFileSync('/bin/true', path);
  const takes = async (name: string, line: string) => {
    const script = join(tools, name);
    writeFileSync(script, `#!/bin/sh\n${line}\n`);
    chmodSync(script, 0o755);
    return await takesLibrary(script, library, mkdtempSync(join(tools, 'scratch-')));
  };
  t.true(await takesLibrary(criu, library, mkdtempSync(join(tools, 'scratch-'))));
  t.true(await takes('keeps', `exec ${criu} "$@"`));
  t.false(await takes('drops', `unset LD_PRELOAD; exec ${criu} "$@"`));
  t.false(await takes('criu-clears', `exec env -i ${criu} "$@"`));
  t.false(await takesLibrary(other, library, mkdtempSync(join(tools, 'scratch-'))));
});
