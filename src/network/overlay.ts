import { readFile } from 'node:fs/promises';
import { absent, type BatchLine, batch, present } from './batch.ts';
import { bridgeName, type Identity, parseDeviceName, vxlanName } from './identity.ts';

export interface OverlayOptions {
  identity: Pick<Identity, 'vni' | 'bridge' | 'vxlan'>;
  /** Address of this node for the other nodes. */
  localAddress: string;
  /** UDP port of the VXLAN. */
  port: number;
  /** MTU inside the overlay, bytes. */
  mtu: number;
}

/**
 * Makes the job's bridge and VXLAN device in the network namespace of the caller; idempotent. Nothing is learned and
 * nothing is flooded: a frame goes where the static entries of repoint.ts say, or nowhere. Neither device has an IPv6
 * address, so that the node itself sends nothing into the job. Removed by removeOverlay.
 * @throws RankshiftError E_COMMAND
 */
export async function ensureOverlay({ identity, localAddress, port, mtu }: OverlayOptions): Promise<void> {
  const { vni, bridge, vxlan } = identity;
  await batch('ip', [
    // Without the fixed MTU a bridge takes the smallest of its ports.
    {
      words: `link add ${bridge} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      unless: present,
    },
    // No group and no default destination: unknown addresses go nowhere.
    {
      words: `link add ${vxlan} type vxlan id ${vni} local ${localAddress} dstport ${port} nolearning`,
      unless: present,
    },
    { words: `link set ${bridge} addrgenmode none mtu ${mtu}` },
    { words: `link set ${vxlan} addrgenmode none mtu ${mtu} master ${bridge}` },
    { words: `link set ${vxlan} type bridge_slave ${quiet}` },
    { words: `link set ${bridge} up` },
    { words: `link set ${vxlan} up` },
  ]);
}

/** Port options of every port: it learns no addresses and gets no frames but those that an entry sends to it. */
export const quiet = 'learning off flood off mcast_flood off bcast_flood off';

/** Removes the job's bridge and VXLAN device; idempotent. Ports of containers that are left lose their bridge. */
export async function removeOverlay(vni: number): Promise<void> {
  await batch('ip', overlayRemoval(vni));
}

export function overlayRemoval(vni: number): BatchLine[] {
  return [vxlanName(vni), bridgeName(vni)].map((device) => ({ words: `link del ${device}`, unless: absent }));
}

/** Removes the job's overlay from this node unless a container of the job is plugged in here. */
export async function removeOverlayIfUnused(vni: number): Promise<void> {
  const names = await linkNames();
  const used = names.map(parseDeviceName).some((role) => role?.kind === 'port' && role.vni === vni);
  if (!used) await removeOverlay(vni);
}

/** Names of all network devices in the network namespace of the caller. */
export async function linkNames(): Promise<string[]> {
  // Two lines of heads, then one for each device: `  NAME: counters` (proc_net(5)).
  const [, , ...devices] = (await readFile('/proc/self/net/dev', 'utf8')).split('\n');
  return devices.flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? []);
}
