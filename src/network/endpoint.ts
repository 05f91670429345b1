import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';
import { absent, batch } from './batch.ts';
import { holdLine, release } from './hold.ts';
import type { Identity } from './identity.ts';
import { quiet } from './overlay.ts';

/**
 * The shortest retransmission time-out inside a job, 200 ms otherwise (ip-route(8), tcp(7)). The wake takes a peer's
 * backoff back to its first interval only, so this bounds what a peer may wait beyond a short downtime. With `quickack`
 * nothing is acknowledged late, which such a short time-out would take for a loss. Figures: docs/c-programs.md.
 */
const routeMetrics = 'rto_min 20ms quickack 1';

/** The network of an address of the /16 overlay. */
const networkOf = (ip: string) => ip.replace(/\.\d+\.\d+$/, '.0.0');

/** Where iproute2 keeps the names of network namespaces. */
export const netnsDir = '/run/netns';

export interface PlugOptions {
  identity: Identity;
  /** All other containers of the job. */
  peers: readonly Identity[];
  /** True: plugged in, but no frame passes and no table of this node points here until release(). */
  held: boolean;
}

/**
 * Makes a container's network namespace and plugs it into the job's overlay. The order makes it airtight: the namespace
 * gets its address only when the port is held, so it has nothing to answer before, and IPv6 of its eth0 is silent.
 * The port is `locked`: the bridge takes frames from it only as long as its own table says that the container is here.
 * Released by unplug.
 * @throws RankshiftError E_BUSY where a namespace of that name is there already: it is never used twice, since CRIU may
 * have left a lock in it; E_COMMAND where the overlay is missing.
 */
export async function plug({ identity, peers, held }: PlugOptions): Promise<void> {
  const { netns } = identity;
  if (existsSync(join(netnsDir, netns))) {
    throw new RankshiftError('E_BUSY', `the network namespace ${netns} exists already`, {
      action: 'Remove what an earlier container left on the node: rankshift doctor names it.',
    });
  }
  const mtu = await mtuOf(identity.bridge);
  await run('ip', ['netns', 'add', netns]);
  try {
    await connect(identity, mtu);
    await holdFirst(identity);
    await batch('ip', addresses(identity, peers), { netns });
    if (!held) await release(identity);
  } catch (error) {
    await unplug(identity).catch(() => undefined);
    throw error;
  }
}

/**
 * Removes a container's network namespace and port; idempotent. The name is gone at the return; the namespace itself
 * ends with its last process.
 */
export async function unplug(identity: Pick<Identity, 'netns' | 'hostInterface'>): Promise<void> {
  const { netns, hostInterface } = identity;
  // The port first: what still dies in the namespace has no way out any more.
  await batch('ip', [
    { words: `link del ${hostInterface}`, unless: absent },
    ...(existsSync(join(netnsDir, netns)) ? [{ words: `netns del ${netns}`, unless: absent }] : []),
  ]);
}

async function connect({ netns, bridge, hostInterface, mac }: Identity, mtu: number): Promise<void> {
  const inside = `name eth0 address ${mac} mtu ${mtu} netns ${netns}`;
  await batch('ip', [
    { words: `link add ${hostInterface} mtu ${mtu} type veth peer ${inside}` },
    { words: `link set ${hostInterface} addrgenmode none master ${bridge}` },
    { words: `link set ${hostInterface} type bridge_slave ${quiet} locked on` },
    { words: `link set ${hostInterface} up` },
  ]);
  await batch(
    'ip',
    [{ words: 'link set lo up' }, { words: 'link set eth0 addrgenmode none' }, { words: 'link set eth0 up' }],
    { netns },
  );
}

/** The neighbours never change: identities do not. Permanent entries need no ARP, so nothing has to be broadcast. */
function addresses({ ip, prefix }: Identity, peers: readonly Identity[]): { words: string }[] {
  return [
    { words: `addr add ${ip}/${prefix} dev eth0` },
    {
      words: `route change ${networkOf(ip)}/${prefix} dev eth0 proto kernel scope link src ${ip} ${routeMetrics}`,
    },
    ...peers.map((peer) => ({ words: `neigh replace ${peer.ip} lladdr ${peer.mac} dev eth0 nud permanent` })),
  ];
}

/** The kernel brings a link up asynchronously (linkwatch), and only a port that is up can be held. */
const upDeadlineMs = 5000;

async function holdFirst({ hostInterface }: Identity): Promise<void> {
  const deadline = performance.now() + upDeadlineMs;
  for (;;) {
    try {
      await batch('ip', [holdLine(hostInterface)]);
      return;
    } catch (error) {
      if (!/Network is down/.test((error as Error).message) || performance.now() > deadline) throw error;
    }
    await pause(5);
  }
}

const linkSchema = z.tuple([z.object({ mtu: z.number() })]);

async function mtuOf(device: string): Promise<number> {
  const { stdout } = await run('ip', ['-json', 'link', 'show', 'dev', device]);
  return linkSchema.parse(JSON.parse(stdout))[0].mtu;
}
