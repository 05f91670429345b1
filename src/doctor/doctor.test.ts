import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createAuthority, issueCertificate } from '../channel/authority.ts';
import { formatFinding } from '../cli/doctor.ts';
import { parseConfig } from '../config.ts';
import { certificates } from './checks/certificates.ts';
import { hookSettings } from './checks/hooks.ts';
import { checks } from './checks/index.ts';
import { cgroup2Mounts, isAtLeast } from './checks/kernel.ts';
import { parseListeners } from './checks/ports.ts';
import { redis } from './checks/redis.ts';
import { install, readDistribution } from './distribution.ts';
import type { DoctorContext } from './finding.ts';
import { guessRole } from './role.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rankshift-doctor-test-'));
test.after.always(() => rmSync(scratch, { recursive: true }));

function contextOf(lines: string, role: DoctorContext['role']): DoctorContext {
  const config = parseConfig(lines, '/etc/rankshift/rankshift.conf');
  return { config, role, node: 'n1', root: true, distribution: 'debian' };
}

test('compares releases', (t) => {
  t.true(isAtLeast('6.18.44-fc-v669', '5.6'));
  t.true(isAtLeast('5.6.0', '5.6'));
  t.false(isAtLeast('5.4.0-200-generic', '5.6'));
  t.true(isAtLeast('24.11.5', '23.2'));
  t.true(isAtLeast('23.02.1', '23.2'));
  t.false(isAtLeast('22.05.9', '23.2'));
  t.false(isAtLeast('', '1.1'));
});

test('finds cgroup2 wherever it is mounted', (t) => {
  const mountinfo =
    '29 1 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n' +
    '30 29 0:26 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw\n';
  t.deepEqual(cgroup2Mounts(mountinfo), ['/sys/fs/cgroup/unified']);
  t.deepEqual(cgroup2Mounts('29 1 0:25 / / rw - ext4 /dev/vda rw\n'), []);
});

test('reads the hooks from what scontrol shows, before and since 24.11', (t) => {
  const old =
    'Epilog                  = (null)\nProlog                  = /etc/slurm/prolog.d/*\nPrologSlurmctld = (null)\n';
  t.deepEqual(hookSettings(old), { prolog: ['/etc/slurm/prolog.d/*'], epilog: [], flags: [] });
  const now =
    'Epilog[0]               = /e/50.sh\nProlog[0]  = /a\nProlog[1]  = /b\n' +
    'PrologFlags             = Alloc,Contain\nSLURM_CONF              = /run/slurm/conf/slurm.conf\n';
  t.deepEqual(hookSettings(now), {
    prolog: ['/a', '/b'],
    epilog: ['/e/50.sh'],
    flags: ['Alloc', 'Contain'],
    file: '/run/slurm/conf/slurm.conf',
  });
});

test('reads who listens', (t) => {
  const text =
    'LISTEN 0      511                *:7461             *:*    users:(("node",pid=31,fd=24))\n' +
    'UNCONN 0      0            0.0.0.0:4789       0.0.0.0:*\n';
  t.deepEqual(parseListeners(text), [
    { port: 7461, command: 'node', pid: 31 },
    { port: 4789, command: '', pid: 0 },
  ]);
});

test('names the package of the node', (t) => {
  const file = join(scratch, 'os-release');
  writeFileSync(file, 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n');
  t.is(readDistribution(file), 'rhel');
  writeFileSync(file, 'ID=debian\n');
  t.is(readDistribution(file), 'debian');
  t.is(readDistribution(join(scratch, 'absent')), 'other');
  const packages = { debian: 'hwloc-nox', rhel: 'hwloc' };
  t.is(install('rhel', packages), 'dnf install hwloc');
  t.is(install('other', packages), 'apt install hwloc-nox   or   dnf install hwloc');
});

test('a finding is a row, its remedy below', (t) => {
  const finding = { check: 'runc', status: 'missing', detail: 'a\nb', remedy: 'apt install runc' } as const;
  t.is(formatFinding(finding), `MISSING  runc               a | b\n${' '.repeat(27)} -> apt install runc`);
});

test('certificates: name, signer, permissions', async (t) => {
  const dir = join(scratch, 'keys');
  await createAuthority(dir);
  for (const name of ['n1', 'n2']) await issueCertificate(dir, name);
  const { readFileSync } = await import('node:fs');
  const take = (name: string) => {
    for (const kind of ['pem', 'key']) {
      writeFileSync(join(dir, `node.${kind}`), readFileSync(join(dir, `${name}.${kind}`)), { mode: 0o600 });
    }
  };
  const password = join(dir, 'redis.password');
  const context = contextOf(`KeyDir=${dir}\nRedisPasswordFile=${password}`, 'agent');
  const faults = async () =>
    (await certificates.examine(context)).filter(({ status }) => status !== 'ok').map(({ detail }) => detail);

  take('n1');
  for (const name of ['command.pub', 'launch.key']) writeFileSync(join(dir, name), 'x', { mode: 0o600 });
  writeFileSync(password, 'x', { mode: 0o644 });
  t.deepEqual(await faults(), [`${password} is readable by others (mode 644, user 0)`]);
  take('n2');
  t.true((await faults()).includes(`${dir}/node.pem is that of n2, this is n1`));
  writeFileSync(join(dir, 'node.pem'), readFileSync(join(dir, 'n1.pem')));
  t.true((await faults()).includes(`${dir}/node.key does not belong to ${dir}/node.pem`));
  take('n1');
  await createAuthority(dir, { force: true });
  t.true((await faults()).includes(`${dir}/node.pem was not signed by ca.pem beside it`));
});

test('Redis that is not there is missing, with the address, and soon', async (t) => {
  const password = join(scratch, 'password');
  writeFileSync(password, 'secret\n');
  const context = contextOf(`RedisHost=127.0.0.1\nRedisPort=1\nRedisPasswordFile=${password}`, 'agent');
  const [finding] = await redis.examine(context);
  t.is(finding?.status, 'missing');
  t.regex(finding?.detail ?? '', /127\.0\.0\.1:1: .*ECONNREFUSED/);
  const [absent] = await redis.examine(contextOf(`RedisPasswordFile=${scratch}/none`, 'agent'));
  t.regex(absent?.detail ?? '', /RedisPasswordFile/);
});

test('guesses the role from the keys', (t) => {
  const dir = mkdtempSync(join(scratch, 'role-'));
  const config = { keyDir: dir, controllerHost: 'elsewhere', nodeName: 'n1' };
  t.not(guessRole(config), 'controller');
  writeFileSync(join(dir, 'launch.key'), '');
  t.is(guessRole(config), 'agent');
  t.is(guessRole({ ...config, controllerHost: 'n1' }), 'controller');
  writeFileSync(join(dir, 'command.key'), '');
  t.is(guessRole(config), 'controller');
});

test('every role has checks', (t) => {
  for (const role of ['controller', 'agent', 'login'] as const) {
    t.true(checks.filter(({ roles }) => roles.includes(role)).length >= 4, role);
  }
});
