import test from 'ava';
import { findHierarchies } from './cgroups.ts';

const v1 = [
  'cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0',
  'cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0',
  'cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0',
].join('\n');

test('a hybrid machine: cgroup2 and the v1 controllers that Slurm uses, memory left alone', (t) => {
  const found = findHierarchies(`${v1}\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n`);
  t.deepEqual(
    found.map(({ controller }) => controller),
    ['cpuset', 'freezer', 'unified'],
  );
});

test('a machine with cgroup2 alone', (t) => {
  t.deepEqual(findHierarchies('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n'), [
    { controller: 'unified', mount: '/sys/fs/cgroup' },
  ]);
});

test('a hierarchy that is mounted twice counts once', (t) => {
  const found = findHierarchies('cgroup2 /a cgroup2 rw 0 0\ncgroup2 /b cgroup2 rw 0 0\n');
  t.deepEqual(found, [{ controller: 'unified', mount: '/a' }]);
});

test('without cgroup2 the error says how to mount it', (t) => {
  t.throws(() => findHierarchies(v1), { code: 'E_MISSING' });
});
