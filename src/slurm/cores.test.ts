import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { cpusetMounts, jobCores } from './cores.ts';

const unifiedLine = '30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw';
const cpusetLine = '31 25 0:27 / /run/cg1/cpuset rw,nosuid - cgroup cgroup rw,cpuset';

test('hierarchies are found whichever there are', (t) => {
  t.deepEqual(cpusetMounts(`${unifiedLine}\n${cpusetLine}\n`), {
    unified: '/sys/fs/cgroup',
    cpuset: '/run/cg1/cpuset',
  });
  t.deepEqual(cpusetMounts(unifiedLine), { unified: '/sys/fs/cgroup', cpuset: null });
  t.deepEqual(cpusetMounts('22 1 8:1 / / rw - ext4 /dev/sda1 rw'), { unified: null, cpuset: null });
});

test("a job's processors are read in both layouts of Slurm, and are null where there is none", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'rankshift-cores-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const write = (path: string, text: string) => {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  write('v1/slurm_n3/uid_1000/job_43/cpuset.cpus', '1\n');
  write('v2/system.slice/n3_slurmstepd.scope/job_44/cpuset.cpus.effective', '0-1,4\n');
  const mounts = { unified: join(dir, 'v2'), cpuset: join(dir, 'v1') };
  t.is(await jobCores(mounts, 1000, 43), '1');
  t.is(await jobCores(mounts, 1000, 44), '0-1,4');
  t.is(await jobCores(mounts, 1001, 43), null, 'of another user');
  t.is(await jobCores({ unified: null, cpuset: null }, 1000, 43), null);
});
