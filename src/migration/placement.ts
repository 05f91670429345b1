import type { Reason } from './record.ts';
import { type Bucket, bucketsOf, type PlacementNode, type Room, take } from './room.ts';

export type { PlacementNode } from './room.ts';

/** A container that is to leave its node. */
export interface Demand {
  container: string;
  job: number;
  from: string;
  /** What the target must have free. */
  memoryBytes: number;
  cpus: number;
  /** Nodes that may take it; absent: any. */
  only?: readonly string[];
}

export interface PlacementInput {
  nodes: readonly PlacementNode[];
  demands: readonly Demand[];
  /** Containers of each job on each node, those that are to leave included. */
  present: ReadonlyMap<number, ReadonlyMap<string, number>>;
  /** CPUs of nodes that a job holds already and its containers do not use: room for its own only. */
  held?: ReadonlyMap<number, ReadonlyMap<string, number>>;
}

export interface Placement {
  container: string;
  to: string | null;
  /** Why it has no target; empty where it has one. */
  reasons: Reason[];
}

/**
 * Finds a target for every container that is to leave its node: with room in memory and CPUs, with every CPU feature of
 * the node that it leaves, as near by switches as there is one, and there on the node with most room, on which its job
 * has no other container if that can be. The largest are placed first. Nothing is placed where it does not fit, and no
 * room is given twice. Answers in the order of the demands.
 */
export function place(input: PlacementInput): Placement[] {
  const { nodes, demands } = input;
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const present = new Map([...input.present].map(([job, counts]) => [job, new Map(counts)]));
  const held = new Map([...(input.held ?? [])].map(([job, cpus]) => [job, new Map(cpus)]));
  const room = bucketsOf(nodes);
  const order = demands
    .map((demand, index) => ({ demand, index }))
    .sort(
      (a, b) =>
        b.demand.cpus - a.demand.cpus ||
        b.demand.memoryBytes - a.demand.memoryBytes ||
        a.demand.job - b.demand.job ||
        a.index - b.index,
    );
  const placements: Placement[] = demands.map(({ container }) => ({ container, to: null, reasons: [] }));
  for (const { demand, index } of order) {
    const source = byName.get(demand.from);
    const ofJob = present.get(demand.job) ?? new Map<string, number>();
    present.set(demand.job, ofJob);
    const to =
      source === undefined
        ? null
        : (chooseFree(room, source, demand, ofJob) ?? chooseHeld(room, source, demand, ofJob, held.get(demand.job)));
    const placement = placements[index];
    if (placement === undefined) continue;
    if (to === null) {
      placement.reasons = [{ code: 'no-target', message: whyNowhere(byName, room, demand) }];
      continue;
    }
    placement.to = to;
    ofJob.set(to, (ofJob.get(to) ?? 0) + 1);
    ofJob.set(demand.from, Math.max(0, (ofJob.get(demand.from) ?? 0) - 1));
  }
  return placements;
}

/** How many nodes of a switch are looked at for one without another container of the job. */
const looks = 8;

/** CPUs that are nobody's: by the nearest switch, then most CPUs, then most memory. */
function chooseFree(
  room: Room,
  source: PlacementNode,
  demand: Demand,
  ofJob: ReadonlyMap<string, number>,
): string | null {
  if (demand.only !== undefined) {
    const named = demand.only
      .flatMap((name) => room.find(name) ?? [])
      .filter((slot) => slot.suits(source) && slot.cpus >= demand.cpus && slot.memoryBytes >= demand.memoryBytes)
      .sort(
        (a, b) =>
          (ofJob.get(a.name) ?? 0) - (ofJob.get(b.name) ?? 0) || b.cpus - a.cpus || b.memoryBytes - a.memoryBytes,
      );
    return named[0] === undefined ? null : take(named[0], demand.cpus, demand.memoryBytes);
  }
  for (const bucket of room.near(source, demand.cpus, demand.memoryBytes)) {
    const found = bestOf(bucket, demand, ofJob);
    if (found !== null) return take(found, demand.cpus, demand.memoryBytes);
  }
  return null;
}

function bestOf(bucket: Bucket, demand: Demand, ofJob: ReadonlyMap<string, number>) {
  let best = null;
  let least = Number.POSITIVE_INFINITY;
  for (const slot of bucket.fitting(demand.cpus, demand.memoryBytes, looks)) {
    if (slot.name === demand.from) continue;
    const others = ofJob.get(slot.name) ?? 0;
    if (others < least) [best, least] = [slot, others];
    if (others === 0) break;
  }
  return best;
}

/** CPUs that the job holds anyhow, beside its other containers. */
function chooseHeld(
  room: Room,
  source: PlacementNode,
  demand: Demand,
  ofJob: ReadonlyMap<string, number>,
  held: Map<string, number> | undefined,
): string | null {
  const slots = [...(held ?? [])]
    .filter(([name, cpus]) => name !== demand.from && cpus >= demand.cpus && (demand.only?.includes(name) ?? true))
    .flatMap(([name]) => room.find(name) ?? [])
    .filter((slot) => slot.suits(source) && slot.memoryBytes >= demand.memoryBytes)
    .sort((a, b) => (ofJob.get(a.name) ?? 0) - (ofJob.get(b.name) ?? 0) || b.memoryBytes - a.memoryBytes);
  const [slot] = slots;
  if (slot === undefined || held === undefined) return null;
  held.set(slot.name, (held.get(slot.name) ?? 0) - demand.cpus);
  return take(slot, 0, demand.memoryBytes);
}

/** Few nodes are told one by one, many by their number. */
const told = 6;

function whyNowhere(nodes: ReadonlyMap<string, PlacementNode>, room: Room, demand: Demand): string {
  const needs = `${demand.cpus} CPU${demand.cpus === 1 ? '' : 's'} and ${mib(demand.memoryBytes)} MiB of memory`;
  const source = nodes.get(demand.from);
  if (source === undefined) return `nothing is known of ${demand.from}, where ${demand.container} runs`;
  const head = `no other node can take ${demand.container}, which needs ${needs}`;
  const asked = demand.only ?? (nodes.size <= told + 1 ? [...nodes.keys()] : null);
  if (asked === null || asked.length > told + 1) {
    const { open, barred, unlike } = room.counts(source);
    return `${head}: ${open} nodes have not so much free, ${barred} are not available, ${unlike} have a lesser CPU`;
  }
  const each = asked
    .filter((name) => name !== demand.from)
    .map((name) => {
      const node = nodes.get(name);
      const slot = room.find(name);
      if (node === undefined) return `${name} is unknown`;
      if (slot === null) return node.barred ?? `${name} is not available`;
      if (!slot.suits(source)) return `the CPU of ${name} lacks instructions that ${demand.from} has`;
      return `${name} has ${slot.cpus} CPUs and ${mib(slot.memoryBytes)} MiB free`;
    });
  return each.length === 0 ? `${head}: there is none` : `${head}: ${each.join('; ')}`;
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 1_048_576);
}
