import { RankshiftError } from '../errors.ts';
import { absent, type BatchLine, batch } from './batch.ts';
import { vxlanName } from './identity.ts';

/** Where the frames for one container go from this node. */
export interface Place {
  mac: string;
  /** Address of the container's node, or `local`. */
  nodeAddress: string | 'local';
  /** The container's port, where it is local. */
  hostInterface?: string;
}

/**
 * Sends the frames for one container of a job to another node, or to its port on this one; idempotent both ways. One
 * fork.
 * @throws RankshiftError E_COMMAND where this node has no overlay of the job, or no such port.
 */
export async function repoint(place: Place & { vni: number }): Promise<void> {
  await setPeers(place.vni, [place]);
}

/** The same on a node that the job's last container may have left meanwhile: then there is nothing to do. */
export async function repointIfHere({ vni, ...place }: Omit<Place, 'hostInterface'> & { vni: number }): Promise<void> {
  const lines = remoteEntry({ ...place, vxlan: vxlanName(vni) });
  await batch(
    'bridge',
    lines.map((line) => ({ ...line, unless: absent })),
  );
}

/** As repoint, for many containers of a job with one fork. */
export async function setPeers(vni: number, places: readonly Place[]): Promise<void> {
  const vxlan = vxlanName(vni);
  await batch(
    'bridge',
    places.flatMap(({ mac, nodeAddress, hostInterface }) => {
      if (nodeAddress !== 'local') return remoteEntry({ mac, vxlan, nodeAddress });
      if (hostInterface === undefined) throw new RankshiftError('E_INTERNAL', `no port was named for ${mac}`);
      return localEntry({ mac, vxlan, hostInterface });
    }),
  );
}

/** The bridge gives the frames to the VXLAN device, which sends them to the node. The inner table first: no frame is lost between. */
function remoteEntry({ mac, vxlan, nodeAddress }: { mac: string; vxlan: string; nodeAddress: string }): BatchLine[] {
  return [
    { words: `fdb replace ${mac} dev ${vxlan} dst ${nodeAddress} self static` },
    { words: `fdb replace ${mac} dev ${vxlan} master static` },
  ];
}

/** The bridge gives the frames to the container's port; the VXLAN device knows it no more. */
export function localEntry({
  mac,
  vxlan,
  hostInterface,
}: {
  mac: string;
  vxlan: string;
  hostInterface: string;
}): BatchLine[] {
  return [
    { words: `fdb replace ${mac} dev ${hostInterface} master static` },
    { words: `fdb del ${mac} dev ${vxlan} self`, unless: absent },
  ];
}
