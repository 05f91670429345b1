import { RankshiftError } from '../errors.ts';

/** Who a rank container is on its job's overlay. Never changes while the job runs, wherever the container is. */
export interface Identity {
  /** VXLAN network identifier of the job, 1 to 16777215. */
  vni: number;
  /** The job's bridge and VXLAN device in the node's network namespace. */
  bridge: string;
  vxlan: string;
  /** The end of the container's veth pair that is a port of the bridge. */
  hostInterface: string;
  /** Name of the container's network namespace (below /run/netns). */
  netns: string;
  ip: string;
  /** Prefix length of the overlay's subnet. */
  prefix: number;
  mac: string;
  /** The container's name inside its job, `c0`, `c1`, ... */
  name: string;
}

/** A VXLAN network identifier has 24 bits; 0 is excluded. */
const vniCount = 0xffffff;
/** Host numbers 1 to 65534 of a /16. */
const mostContainers = 65_534;

/**
 * The network identifier of a job: its number, as far as 24 bits reach. Slurm's numbers go on to 26 bits (slurm.conf(5),
 * MaxJobId); they wrap around here, so only jobs that are 16,777,215 apart would share one.
 * @throws RankshiftError E_BAD_INPUT where it is not a job number.
 */
export function jobVni(job: number): number {
  if (!Number.isInteger(job) || job < 1) throw new RankshiftError('E_BAD_INPUT', `not a job number: ${job}`);
  return ((job - 1) % vniCount) + 1;
}

export const bridgeName = (vni: number) => `rsb${vni.toString(16)}`;
export const vxlanName = (vni: number) => `rsx${vni.toString(16)}`;

/**
 * The identity of container `index` of a job (docs/architecture.md, "Overlay of a job"). The longest device name,
 * `rsvffffff.65533`, has the 15 characters that the kernel allows (IFNAMSIZ).
 * @throws RankshiftError E_BAD_INPUT where job or index is out of range.
 */
export function overlayIdentity(job: number, index: number, config: { overlaySubnet: string }): Identity {
  const vni = jobVni(job);
  if (!Number.isInteger(index) || index < 0 || index >= mostContainers) {
    throw new RankshiftError('E_BAD_INPUT', `a job has containers 0 to ${mostContainers - 1}, not ${index}`);
  }
  const [, first, second] = /^(\d+)\.(\d+)\.0\.0\/16$/.exec(config.overlaySubnet) ?? [];
  if (first === undefined || second === undefined) {
    throw new RankshiftError('E_CONFIG', `OverlaySubnet=${config.overlaySubnet}: allowed is a /16 network`);
  }
  const host = index + 1;
  const [high, low] = [host >> 8, host & 0xff];
  return {
    vni,
    bridge: bridgeName(vni),
    vxlan: vxlanName(vni),
    hostInterface: `rsv${vni.toString(16)}.${index}`,
    netns: `rs-${job}-${index}`,
    ip: `${first}.${second}.${high}.${low}`,
    prefix: 16,
    mac: `02:52:53:00:${hexByte(high)}:${hexByte(low)}`,
    name: `c${index}`,
  };
}

const hexByte = (value: number) => value.toString(16).padStart(2, '0');

/** What a network device of ours is for; null where the name is none of ours. */
export interface DeviceRole {
  kind: 'bridge' | 'vxlan' | 'port';
  vni: number;
  /** Of a port: the container's index. */
  index?: number;
}

/** The inverse of the device names of an identity. */
export function parseDeviceName(name: string): DeviceRole | null {
  const [, letter, hex = '', digits] = /^rs([bxv])([1-9a-f][0-9a-f]{0,5})(?:\.(0|[1-9]\d{0,4}))?$/.exec(name) ?? [];
  const vni = Number.parseInt(hex, 16);
  if (letter === 'v') return digits === undefined ? null : { kind: 'port', vni, index: Number(digits) };
  if (letter === undefined || digits !== undefined) return null;
  return { kind: letter === 'b' ? 'bridge' : 'vxlan', vni };
}

/** The inverse of an identity's namespace name; null where the name is none of ours. */
export function parseNetnsName(name: string): { job: number; index: number } | null {
  const [, job, index] = /^rs-([1-9]\d*)-(0|[1-9]\d*)$/.exec(name) ?? [];
  return job === undefined || index === undefined ? null : { job: Number(job), index: Number(index) };
}
