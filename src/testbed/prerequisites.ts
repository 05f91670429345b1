import { existsSync } from 'node:fs';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';

/** Programs of this machine that a testbed needs, with the Debian package of each. */
const programs = [
  ['ip', 'iproute2'],
  ['tc', 'iproute2'],
  ['nft', 'nftables'],
  ['unshare', 'util-linux'],
  ['nsenter', 'util-linux'],
  ['flock', 'util-linux'],
  ['mmdebstrap', 'mmdebstrap'],
  ['ssh-keygen', 'openssh-client'],
] as const;

/** What a testbed of virtual machines needs besides. */
const ofMachines = [
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['mke2fs', 'e2fsprogs'],
  ['xz', 'xz-utils'],
] as const;

/**
 * Checks what a testbed needs of this machine, before anything is made.
 * @throws RankshiftError E_NOT_PERMITTED or E_MISSING naming everything that is missing and how to get it.
 */
export async function checkPrerequisites({ vm = false }: { vm?: boolean } = {}): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new RankshiftError('E_NOT_PERMITTED', 'a testbed needs root: it makes namespaces, mounts and cgroups', {
      action: 'Run the same command with sudo.',
    });
  }
  // npm puts node_modules/.bin in front, where a package has another program named nft.
  const path = (process.env['PATH'] ?? '').split(':').filter((dir) => !dir.includes('node_modules'));
  const absent = [...programs, ...(vm ? ofMachines : [])].filter(
    ([program]) => !path.some((dir) => existsSync(`${dir}/${program}`)),
  );
  const missing = absent.map(([program, debian]) => `${program} (package ${debian})`);
  if (missing.length > 0) {
    throw new RankshiftError('E_MISSING', `not installed: ${missing.join(', ')}`, {
      action: `Run scripts/setup${vm ? ' --vm' : ''}, which installs them.`,
    });
  }
  const lacking: string[] = [];
  if (!existsSync('/proc/self/ns/time')) lacking.push('time namespaces (CONFIG_TIME_NS, Linux 5.6)');
  if (!existsSync('/proc/self/ns/cgroup')) lacking.push('cgroup namespaces (CONFIG_CGROUPS)');
  for (const [type, option, ...args] of [
    ['bridge', 'CONFIG_BRIDGE'],
    ['veth', 'CONFIG_VETH'],
    ['vxlan', 'CONFIG_VXLAN', 'id', '1', 'dstport', '4789'],
  ] as const) {
    const argv = ['--net', 'ip', 'link', 'add', 'probe0', 'type', type, ...args];
    const { exitCode } = await run('unshare', argv, { allow: 'any' });
    if (exitCode !== 0) lacking.push(`${type} network devices (${option})`);
  }
  if (lacking.length === 0) return;
  throw new RankshiftError('E_MISSING', `the running kernel lacks ${lacking.join('; ')}`, {
    action: "Boot a distribution's standard kernel (Debian 12 or newer, for example).",
  });
}
