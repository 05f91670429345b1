import { readFileSync } from 'node:fs';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { install } from '../distribution.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, warning } from '../finding.ts';

const iproute = { debian: 'iproute2', rhel: 'iproute' };
const nftables = { debian: 'nftables', rhel: 'nftables' };
const deadline = { timeoutMs: 10_000 };

export const network: Check = {
  name: 'network',
  roles: ['agent'],
  examine: async (context) => {
    if (!context.root) return [];
    return [...(await inThrowAwayNamespace(context)), bridgeFilter()];
  },
};

/** Makes each kind of link where nobody sees it: the kernel loads what it lacks, and the namespace takes all with it. */
async function inThrowAwayNamespace(context: DoctorContext): Promise<Finding[]> {
  const namespace = `rankshift-doctor-${process.pid}`;
  try {
    await run('ip', ['netns', 'add', namespace], deadline);
  } catch (cause) {
    const error = RankshiftError.from(cause);
    if (error.code === 'E_MISSING') return [missing('ip', error.message, install(context.distribution, iproute))];
    return [missing('network namespaces', error.message, 'Use a kernel built with CONFIG_NET_NS=y.')];
  }
  try {
    const findings = [
      await linkKind(namespace, 'veth', ['name', 'p0', 'type', 'veth', 'peer', 'name', 'p1']),
      await linkKind(namespace, 'bridge', ['name', 'b0', 'type', 'bridge']),
      await linkKind(namespace, 'vxlan', ['name', 'x0', 'type', 'vxlan', 'id', '1', 'dstport', '4789', 'nolearning']),
    ];
    return [...findings, await portLock(namespace), await nft(namespace, context)];
  } finally {
    await run('ip', ['netns', 'delete', namespace], deadline);
  }
}

async function linkKind(namespace: string, kind: string, args: string[]): Promise<Finding> {
  const { exitCode, stderr } = await run('ip', ['-netns', namespace, 'link', 'add', ...args], {
    ...deadline,
    allow: 'any',
  });
  if (exitCode === 0) return ok(`link ${kind}`, 'yes');
  const remedy = `modprobe ${kind}; echo ${kind} >> /etc/modules-load.d/rankshift.conf`;
  return missing(`link ${kind}`, stderr.trim(), remedy);
}

/** A port that takes frames only from whom the node's own table has there: what keeps a container's copy silent. */
async function portLock(namespace: string): Promise<Finding> {
  for (const words of ['set p0 master b0', 'set p0 type bridge_slave locked on']) {
    const args = ['-netns', namespace, 'link', ...words.split(' ')];
    const { exitCode, stderr } = await run('ip', args, { ...deadline, allow: 'any' });
    if (exitCode !== 0) {
      return missing('bridge port lock', stderr.trim(), 'Use a kernel 5.18 or later, and iproute2 of its age.');
    }
  }
  return ok('bridge port lock', 'yes');
}

async function nft(namespace: string, { distribution }: DoctorContext): Promise<Finding> {
  try {
    const args = ['netns', 'exec', namespace, 'nft', 'add', 'table', 'inet', 'rankshift_doctor'];
    await run('ip', args, deadline);
    return ok('nftables', 'yes');
  } catch (cause) {
    const { message } = RankshiftError.from(cause);
    return missing('nftables', message, `${install(distribution, nftables)}; modprobe nf_tables`);
  }
}

/** Docker and others let packets inside a bridge pass through iptables, and set the FORWARD policy to DROP. */
function bridgeFilter(): Finding {
  let value = '0';
  try {
    value = readFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').trim();
  } catch {
    // br_netfilter is not loaded: frames in a bridge meet no filter.
  }
  if (value === '0') return ok('bridge filter', 'frames inside a bridge are not filtered');
  const detail = 'frames inside a bridge pass through iptables; a FORWARD policy of DROP cuts the jobs off';
  return warning('bridge filter', detail, 'sysctl -w net.bridge.bridge-nf-call-iptables=0');
}
