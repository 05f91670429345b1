import { z } from 'zod';
import { containerIdSchema, nodeNameSchema } from './record.ts';

/** What a job has on one node. */
export const shareSchema = z.object({
  cpus: z.number().int().min(1),
  /** Null where Slurm hands out no memory. */
  memoryMiB: z.number().int().min(1).nullable(),
  /** The job has the whole node. */
  whole: z.boolean(),
  /** MPI ranks. */
  tasks: z.number().int().min(1),
});
export type Share = z.infer<typeof shareSchema>;

/** A job of Slurm that holds a node for rank containers of another. */
export const shadowSchema = z.object({
  slurmJob: z.number().int().min(1),
  node: nodeNameSchema,
  /** Several where the shadow has the whole node. */
  containers: z.array(containerIdSchema),
});
export type Shadow = z.infer<typeof shadowSchema>;

/** How the allocation of a job followed its containers. Kept from the first move until Slurm has ended the job. */
export const allocationRecordSchema = z.object({
  version: z.literal(1),
  job: z.number().int(),
  uid: z.number().int().min(1),
  gid: z.number().int().min(1),
  /** How often Slurm had requeued the job: after another time it is another allocation. */
  restarts: z.number().int(),
  /** Nodes that the job had when its first container moved. */
  nodes: z.array(nodeNameSchema),
  /** Container -> what the job got on the node where it started. */
  shares: z.record(containerIdSchema, shareSchema),
  /** Container -> where it was when the allocation was last looked at. */
  places: z.record(containerIdSchema, nodeNameSchema),
  shadows: z.array(shadowSchema),
  /** Nodes that a container has left, or was to come to: only these are ever given back. */
  touched: z.array(nodeNameSchema),
  /** Container -> node and job of Slurm to whose processors it is held. */
  confined: z.record(containerIdSchema, z.string()).default({}),
  /** Our part of the job's AdminComment. */
  comment: z.string(),
});
export type AllocationRecord = z.infer<typeof allocationRecordSchema>;

/** What the allocation of a job is decided from. */
export interface AllocationFacts {
  /** Nodes that the job has in Slurm. */
  nodes: readonly string[];
  /** Where the job's script runs. */
  batchHost: string;
  /** Nodes with steps that Slurm started for the job, other than script and extern: they would be killed. */
  stepNodes: readonly string[];
  /** Where each container is, and where else it may come to be or something of it is (neededNodes). */
  containers: readonly { id: string; nodes: readonly string[] }[];
  shadows: readonly Shadow[];
  touched: readonly string[];
  /** Containers whose job has whole nodes share a shadow. */
  whole: boolean;
}

/** What has to be done about an allocation. */
export interface AllocationDecision {
  /** Shadows that hold nothing any more. */
  cancel: Shadow[];
  /** Shadows that hold a node for other containers than before. */
  reassign: Shadow[];
  /** Containers that a node has to be held for. */
  hold: { container: string; node: string }[];
  /** Nodes that leave the job. */
  release: string[];
  /** Nodes without containers that cannot leave it, each with the reason. */
  stay: { node: string; why: string }[];
}

/**
 * Nodes that must stay held for a container: where it is, the target of a move under way, and that move's source, which
 * has its frozen processes, and may be all that has its memory, until it was cleared.
 */
export function neededNodes(
  owner: string,
  move: { source: string | null; target: string | null } | undefined,
  { cleared }: { cleared: boolean },
): string[] {
  const needed = [owner, move?.target, cleared ? null : move?.source];
  return [...new Set(needed.filter((node) => node !== null && node !== undefined))];
}

/**
 * Every container's node is held, by the job itself or by a shadow, and nothing else is: shadows without a container end,
 * nodes that containers have left are given back.
 */
export function decideAllocation(facts: AllocationFacts): AllocationDecision {
  const { nodes, batchHost, stepNodes, containers, shadows, touched, whole } = facts;
  const decision: AllocationDecision = { cancel: [], reassign: [], hold: [], release: [], stay: [] };
  const wanted = containers.flatMap(({ id, nodes: at }) =>
    at.filter((node) => !nodes.includes(node)).map((node) => ({ container: id, node })),
  );
  const open = new Set(wanted);
  for (const shadow of shadows) {
    const mine = [...open].filter(
      ({ container, node }) => node === shadow.node && (whole || shadow.containers.includes(container)),
    );
    for (const one of mine) open.delete(one);
    const held = mine.map(({ container }) => container).sort();
    if (held.length === 0) decision.cancel.push(shadow);
    else if (held.join() !== [...shadow.containers].sort().join())
      decision.reassign.push({ ...shadow, containers: held });
  }
  for (const one of open) {
    // One shadow of a whole node will do for all that come there.
    if (!whole || !decision.hold.some(({ node }) => node === one.node)) decision.hold.push(one);
  }
  const used = new Set(containers.flatMap(({ nodes: at }) => at));
  for (const node of nodes) {
    if (used.has(node) || !touched.includes(node)) continue;
    if (node === batchHost) decision.stay.push({ node, why: "the job's script runs there" });
    else if (stepNodes.includes(node)) decision.stay.push({ node, why: 'srun has started a step of the job there' });
    else decision.release.push(node);
  }
  return decision;
}

/** What a shadow is for, as its comment in Slurm says it: how it is found again. */
export function shadowComment(container: string, migration: string): string {
  return `rankshift: shadow of ${container} for move ${migration}`;
}

/** Reads shadowComment; null where the text is none. */
export function parseShadowComment(text: string): { job: number; container: string; migration: string } | null {
  const match = /^rankshift: shadow of (([1-9]\d{0,9})\.\d{1,4}) for move (\d{1,12})$/.exec(text);
  if (match === null) return null;
  return { container: match[1] ?? '', job: Number(match[2]), migration: match[3] ?? '' };
}

const mark = 'rankshift:';
const separator = ' | ';

/** What squeue and sacct are to say of a job (AdminComment): where its containers are, and who holds these nodes. */
export function allocationComment(
  places: Readonly<Record<string, string>>,
  { nodes, shadows, stay }: { nodes: readonly string[]; shadows: readonly Shadow[]; stay: AllocationDecision['stay'] },
): string {
  const held = shadows.map(({ slurmJob, node, containers }) => `${containers.join(',')} on ${node} (job ${slurmJob})`);
  const empty = stay.map(({ node }) => `${node} has no ranks`);
  const moved = Object.entries(places).filter(
    ([id, node]) => !nodes.includes(node) && !shadows.some(({ containers }) => containers.includes(id)),
  );
  const bare = moved.map(([id, node]) => `${id} on ${node}, not held`);
  const all = [...held, ...bare, ...empty];
  return all.length === 0 ? '' : `${mark} ${all.join(', ')}`;
}

/** Puts our words in the place of our earlier ones, and leaves what others wrote. */
export function withComment(existing: string, ours: string): string {
  const others = existing.split(separator).filter((part) => part !== '' && !part.startsWith(mark));
  return [...others, ...(ours === '' ? [] : [ours])].join(separator);
}

/** Minutes for which a node is held for a job without time limit; prolonged as long as the job runs. */
const unlimitedMinutes = 7 * 24 * 60;

/**
 * Minutes from the start of a shadow to the end of its job, never less than one.
 * @param jobEnd Unix milliseconds; undefined where the job has no limit.
 */
export function shadowMinutes(shadowStart: number, jobEnd: number | undefined, now: number): number {
  const end = jobEnd ?? now + unlimitedMinutes * 60_000;
  return Math.max(1, Math.ceil((end - shadowStart) / 60_000));
}

/** Whether the limit of a shadow has to be set anew: exactly as its job's, or well before a lease runs out. */
export function limitIsStale(minutes: number, wanted: number, unlimited: boolean): boolean {
  return unlimited ? wanted - minutes > 24 * 60 : minutes !== wanted;
}

/** Why Slurm would not give a share of a node now, by its own figures; null where there is room. */
export function lacksRoom(
  node: { name: string; cpus: number; allocatedCpus: number; memoryMiB: number; allocatedMemoryMiB: number },
  { cpus, memoryMiB, whole }: Share,
): string | null {
  const freeCpus = node.cpus - node.allocatedCpus;
  if (whole && node.allocatedCpus > 0) return `${node.name} has other jobs, and the job has whole nodes`;
  if (freeCpus < cpus) return `${node.name} has ${freeCpus} processors free in Slurm, the job has ${cpus} on each node`;
  const free = node.memoryMiB - node.allocatedMemoryMiB;
  if (memoryMiB === null || free >= memoryMiB) return null;
  return `${node.name} has ${free} MiB free in Slurm, the job has ${memoryMiB} MiB on each node`;
}
