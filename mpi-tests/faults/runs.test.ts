import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { cgroupMount, freeze, killCgroup, thaw } from '../../src/container/cgroup.ts';
import { threadThatRuns, whatRuns } from './runs.ts';

/** A cgroup of its own with processes that never wait. */
async function busyGroup(t: { teardown(end: () => Promise<void>): void }, name: string, count: number) {
  const group = join((await cgroupMount())?.point ?? '', `rankshift-test-${name}-${process.pid}`);
  mkdirSync(group);
  t.teardown(async () => {
    await killCgroup(group);
    rmdirSync(group);
  });
  const children = Array.from({ length: count }, () => spawn('/bin/sh', ['-c', 'while :; do :; done']));
  for (const { pid } of children) writeFileSync(join(group, 'cgroup.procs'), String(pid));
  return { group, children };
}

const idOf = ({ pid }: { pid?: number | undefined }) => String(pid);

test('a process runs, stands still as long as it is frozen, runs again', async (t) => {
  const { group, children } = await busyGroup(t, 'frozen', 1);
  const [pid = ''] = children.map(idOf);
  for (let round = 0; round < 3; round++) {
    t.not(whatRuns(group), null);
    t.not(threadThatRuns(pid, group), null);
    await freeze(group);
    t.is(whatRuns(group), null);
    t.is(threadThatRuns(pid, group), null);
    await thaw(group);
  }
  t.not(whatRuns(group), null);
  t.is(threadThatRuns('4194305', group), null);
});

test('of a frozen group whose processes are killed one by one, none is ever seen to run', async (t) => {
  for (let round = 0; round < 5; round++) {
    const { group, children } = await busyGroup(t, `killed-${round}`, 4);
    await freeze(group);
    const pids = children.map(idOf);
    for (const child of children) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      for (const end = performance.now() + 15; performance.now() < end; ) {
        t.deepEqual(
          pids.map((pid) => threadThatRuns(pid, group)),
          pids.map(() => null),
        );
        t.is(whatRuns(group), null);
      }
      await ended;
    }
  }
});
