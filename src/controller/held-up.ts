import type { Redis } from 'ioredis';
import { parseContainerId } from '../migration/container.ts';
import { readHeldSince, writeHeldSince } from '../store/decisions.ts';
import { listLoads, type MeasuredNode, type NodeLoad } from '../store/nodes.ts';

type Figures = NodeLoad['containers'][string];

/** A container as its node tells of it. */
export interface MeasuredContainer {
  id: string;
  job: number;
  node: string;
  figures: Figures;
  /** Share of the time, 0 to 1. */
  heldUp: number;
}

export interface Measured {
  nodes: MeasuredNode[];
  /** Of jobs in which one is held up beyond the threshold, all that are told. */
  containers: MeasuredContainer[];
  /** Since when those are that are held up, Unix ms. */
  since: Map<string, number>;
}

/** Shares of its processors' time that a hypervisor gives to others. */
export const stolenOf = ({ cpus, balance }: MeasuredNode) => Math.min(1, balance.steal / cpus);

/**
 * Share in which a container could run and something else did: what its own limit takes from it goes with it (the kernel
 * counts both as pressure), what the hypervisor takes stays behind.
 */
export function heldUpShare([, pressure, throttled]: Figures, stolen: number): number {
  return 1 - (1 - Math.max(0, pressure - throttled)) * (1 - stolen);
}

/** One read of the heartbeats, on a quiet cluster all that a look costs. */
export async function measureHeldUp(redis: Redis, threshold: number, now: number): Promise<Measured> {
  const nodes = await listLoads(redis);
  const all = nodes.flatMap((node) => {
    const stolen = stolenOf(node);
    return Object.entries(node.balance.containers).map(([id, figures]): MeasuredContainer => {
      const job = parseContainerId(id)?.job ?? 0;
      return { id, job, node: node.name, figures, heldUp: heldUpShare(figures, stolen) };
    });
  });
  const slow = all.filter(({ heldUp }) => heldUp >= threshold);
  const before = await readHeldSince(redis);
  const since = new Map(slow.map(({ id }) => [id, before.get(id) ?? now]));
  if (since.size > 0 || before.size > 0) await writeHeldSince(redis, since);
  const jobs = new Set(slow.map(({ job }) => job));
  return { nodes, since, containers: all.filter(({ job }) => jobs.has(job)) };
}
