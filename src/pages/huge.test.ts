import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { cgroupMount, processesOf } from '../container/cgroup.ts';
import { buildPrograms, builds, program, start } from '../init/testing.ts';
import { run } from '../process/run.ts';

const tools = mkdtempSync('/tmp/rankshift-huge-tools-');
const mib = 16;

/** Memory in huge pages, where the kernel has them; checks on a line of input that all is as it was. */
const source = `
#include <stdio.h>
#include <sys/mman.h>
#define BYTES (${mib}UL << 20)
int main(void) {
  unsigned char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(memory, BYTES, MADV_HUGEPAGE);
  for (unsigned long i = 0; i < BYTES; i++) memory[i] = i * 7 % 251;
  puts("ready"); fflush(stdout);
  getchar();
  for (unsigned long i = 0; i < BYTES; i++) if (memory[i] != i * 7 % 251) return 1;
  return 0;
}`;

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
  writeFileSync(join(tools, 'huge.c'), source);
  await run('gcc', ['-O2', '-o', join(tools, 'huge'), join(tools, 'huge.c')], { timeoutMs: 60_000 });
});

test.after.always(() => rmSync(tools, { recursive: true, force: true }));

async function startInCgroup(t: ExecutionContext, name: string) {
  const mount = await cgroupMount();
  if (mount === null) throw new Error('no cgroup2');
  const cgroup = join(mount.point, `rankshift-huge-test-${process.pid}-${name}`);
  mkdirSync(cgroup);
  const script = `echo $$ > ${cgroup}/cgroup.procs; exec ${join(tools, 'huge')}`;
  const { child, ended } = start('sh', ['-c', script], { keepInput: true });
  t.teardown(async () => {
    writeFileSync(join(cgroup, 'cgroup.kill'), '1');
    while ((await processesOf(cgroup)).length > 0) await sleep(5);
    rmdirSync(cgroup);
  });
  if (child.stdout !== null) await once(child.stdout, 'data');
  return { cgroup, child, ended, pid: child.pid ?? 0 };
}

const hugeKib = (pid: number) =>
  Number(/^AnonHugePages: *(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);

for (const build of builds) {
  test.serial(`${build}: huge pages are split, and what is in them stays`, async (t) => {
    const { cgroup, child, ended, pid } = await startInCgroup(t, build);
    const before = hugeKib(pid);
    if (before < (mib << 10) / 2) t.log(`the kernel gave ${before} KiB of huge pages`);
    const { exitCode } = await run(program(build, 'rankshift-pages'), ['split', cgroup], { allow: 'any' });
    t.is(exitCode, 0);
    t.is(hugeKib(pid), 0);
    child.stdin?.end('\n');
    t.is((await ended).code, 0);
  });

  test.serial(`${build}: writes are told by soft-dirty, or that the kernel has not got it`, async (t) => {
    const { cgroup } = await startInCgroup(t, `${build}-soft-dirty`);
    const argv = ['soft-dirty', cgroup, '20'];
    const { exitCode, stdout, stderr } = await run(program(build, 'rankshift-pages'), argv, { allow: 'any' });
    if (exitCode !== 0) {
      t.regex(stderr, /this kernel has no CONFIG_MEM_SOFT_DIRTY/);
      return;
    }
    const { presentBytes, writtenBytes } = JSON.parse(stdout);
    t.true(presentBytes >= mib << 20);
    // It sleeps.
    t.true(writtenBytes < 1 << 20);
  });
}
