import type { ContainerRecord } from './container.ts';
import type { CostSample } from './estimate.ts';
import { chooseAllowed } from './policy-terms.ts';
import type { LinkFacts, MigrationRequest, MissingLayer, Plan, Reason, Strategy } from './record.ts';
import { mayLeavePages } from './strategy-kind.ts';
import { whyNotVerifiable } from './verifiable.ts';
import type { Compression, Packings } from './wire.ts';
import { overWire } from './wire-plan.ts';

/** What the agent of the source measured of a rank container. Sizes in bytes. */
export interface SourceFacts {
  memoryBytes: number;
  /** Written per second while it was looked at; null where it was not. */
  dirtyBytesPerSecond: number | null;
  upperBytes: number;
  processes: number;
  /** What in the container cannot be moved; empty where nothing forbids it. */
  reasons: Reason[];
}

/** What is known of a node that might be the target. Sizes in bytes. */
export interface NodeFacts {
  name: string;
  /** The agent answered lately. */
  agentAlive: boolean;
  /** Slurm's flags in lower case, for example idle, allocated, drain, down; empty where Slurm does not know the node. */
  slurmStates: string[];
  containers: number;
  memoryAvailableBytes: number;
  stateDirFreeBytes: number;
  cpuFlags: readonly string[];
  /** Layers of the image that are not in the store that the node sees; found out for a target only. */
  missingLayers: MissingLayer[];
  /** Of the store's file system; null where it was not asked. */
  storeFreeBytes: number | null;
  /** CRIU and the kernel passed the agent's self-test at its start. */
  criuOk: boolean;
  /** Its kernel can track writes and fill in memory lazily (src/pages). */
  pagesOk: boolean;
  /** Why not; empty where it can. */
  pagesReason: string;
  /** CRIU can write the memory of a running container in rounds (soft-dirty). */
  softDirtyOk: boolean;
  kernel: string;
  /** Of the last heartbeat: processors, load average of a minute, all of its memory. */
  cpus?: number;
  load?: number;
  memoryTotalBytes?: number;
  /** The evacuation that empties it now; empty or absent: none. */
  leaving?: string;
  /** CPUs that Slurm has not given away; null or absent where that is not known. */
  cpusFree?: number | null;
  /** CPUs that the node has by Slurm's word. */
  slurmCpus?: number | null;
}

export interface PlanInput {
  container: ContainerRecord;
  source: NodeFacts;
  sourceFacts: SourceFacts | null;
  /** Why they are missing. */
  sourceError?: string | null;
  target: NodeFacts | null;
  requestedTarget: string | null;
  /** No node's state in Slurm is known. */
  slurmSilent?: boolean;
  link: LinkFacts | null;
  /** What earlier moves of this cluster cost, newest first. */
  costs: readonly CostSample[];
  strategy: Strategy | 'auto';
  /** Whether pages may be left behind on the source: never, where it is asked for, where the model finds it best. */
  postCopy: 'never' | 'asked' | 'auto';
  /** Limits as asked for. */
  limits: Pick<MigrationRequest, 'maxDowntimeMs' | 'force' | 'bandwidth' | 'verify'> & {
    /** Where the limit of the downtime is a policy's, which. */
    maxDowntimeBy?: string;
  };
  /** Strategies that a policy allows; absent or null: all. */
  allowed?: readonly Strategy[] | null;
  /** What of the memory's way was measured, asked for, and set for the node. */
  wire?: {
    packings: Packings | null;
    compression: Compression | 'auto';
    streams: number | 'auto';
    nodeBandwidth: number | null;
    freezeLimited: boolean;
  };
}

/** The target's memory holds the image and the restored rank at once while a stop-and-copy runs. */
export const memoryFactor = 2;

/** Room for an extracted layer, of the size of its archive. */
const layerFactor = 1.1;

/** Plans a move: every reason for a refusal, how it will be done, and what it will cost by the model (model.ts). */
export function planMove(input: PlanInput): Plan {
  const { container, source, sourceFacts, target, link } = input;
  const memoryBytes = sourceFacts?.memoryBytes ?? 0;
  const reasons = [...stateReasons(input), ...(sourceFacts?.reasons ?? [])];
  if (target !== null) reasons.push(...targetReasons(source, target, memoryBytes));
  const warnings: string[] = [];
  if (target !== null && target.kernel !== source.kernel) {
    warnings.push(`kernels differ: ${source.name} runs ${source.kernel}, ${target.name} runs ${target.kernel}`);
  }
  if (target !== null && !stateIsKnown(target)) warnings.push(`${unknownState(target.name)}: it may be drained`);
  const { facts, wire } = overWire(input);
  const way = chooseAllowed(facts);
  reasons.push(...way.reasons);
  if (mayLeavePages(way.strategy)) {
    warnings.push(
      `until all memory has come, some time after the switch, ${source.name} must live and be reached: else ${container.id} is lost, and its job`,
    );
  }
  if (way.strategy === 'stop-and-copy' && input.limits.bandwidth !== undefined && input.wire?.freezeLimited !== true) {
    warnings.push('the bandwidth limits rounds before the freeze, and stop-and-copy makes none');
  }
  reasons.push(...whyNotVerifiable(input, way.strategy));
  const { maxDowntimeMs, maxDowntimeBy, force } = input.limits;
  if (maxDowntimeMs !== undefined && way.predicted === null) {
    warnings.push('no downtime could be predicted, so the limit was not looked at');
  } else if (maxDowntimeMs !== undefined && (way.predicted?.downtimeMs ?? 0) > maxDowntimeMs && force !== true) {
    const seconds = (ms: number) => (ms < 10_000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);
    const predicted = seconds(way.predicted?.downtimeMs ?? 0);
    const message = `a downtime of ${predicted} is predicted, more than ${seconds(maxDowntimeMs)} (${maxDowntimeBy ?? '--force: go all the same'})`;
    reasons.push({ code: maxDowntimeBy === undefined ? 'max-downtime' : 'policy-downtime', message });
  }
  return {
    container: container.id,
    source: source.name,
    target: target?.name ?? null,
    strategy: way.strategy,
    strategyReason: way.why,
    lazy: way.lazy,
    tracking: way.tracking,
    trackingReason: way.trackingReason,
    memoryBytes,
    dirtyBytesPerSecond: sourceFacts?.dirtyBytesPerSecond ?? null,
    link,
    wire,
    layers: target?.missingLayers ?? [],
    allocation: [],
    predicted: withLayers(way.predicted, input),
    reasons,
    warnings,
  };
}

/** Layers travel before everything else, over the same link or a nearer one. */
function withLayers(predicted: Plan['predicted'], { target, link, limits }: PlanInput): Plan['predicted'] {
  const bytes = (target?.missingLayers ?? []).reduce((sum, layer) => sum + layer.bytes, 0);
  if (predicted === null || link === null || bytes === 0) return predicted;
  const rate = Math.min(link.bytesPerSecond, limits.bandwidth ?? link.bytesPerSecond);
  return { ...predicted, totalMs: Math.round(predicted.totalMs + (bytes / rate) * 1000) };
}

function stateReasons(input: PlanInput): Reason[] {
  const { container, source, target, requestedTarget, sourceFacts, sourceError = null } = input;
  const reasons: Reason[] = [];
  if (container.state !== 'running') {
    reasons.push({ code: 'not-running', message: `container ${container.id} is ${container.state}, not running` });
  }
  if (!source.agentAlive) {
    reasons.push({
      code: 'source-agent-down',
      message: `the agent on ${source.name}, where ${container.id} runs, does not answer`,
    });
  } else if (sourceFacts === null) {
    const why = sourceError === null ? '' : `: ${sourceError}`;
    const message = `the agent on ${source.name} could not inspect ${container.id}${why}`;
    reasons.push({ code: 'source-unknown', message });
  }
  if (sourceFacts !== null && source.agentAlive && source.memoryAvailableBytes < sourceFacts.memoryBytes) {
    reasons.push({
      code: 'source-memory',
      message: `${source.name} has ${mib(source.memoryAvailableBytes)} MiB of memory available for the image, ${mib(sourceFacts.memoryBytes)} MiB are needed`,
    });
  }
  if (requestedTarget === source.name) {
    reasons.push({ code: 'target-is-source', message: `${container.id} runs on ${source.name} already` });
  } else if (target === null && input.slurmSilent === true) {
    const message = 'Slurm does not say in what state its nodes are, so none of them is chosen';
    reasons.push({ code: 'slurm-silent', message });
  } else if (target === null) {
    reasons.push({ code: 'no-target', message: `no other node can take ${container.id}` });
  }
  return reasons;
}

/**
 * Whether Slurm has said in what state a node is. It has not where slurmctld was silent since the controller started, or is
 * silent for longer than what it said last counts: such a node may be drained, and is a target only for who names it.
 */
export function stateIsKnown({ slurmStates }: Pick<NodeFacts, 'slurmStates'>): boolean {
  return !slurmStates.includes('unknown');
}

export function unknownState(node: string): string {
  return `Slurm does not say in what state ${node} is`;
}

/** Why a node cannot take a container of this size from this source; empty where it can. */
export function targetReasons(source: NodeFacts, target: NodeFacts, memoryBytes: number): Reason[] {
  const reasons: Reason[] = [];
  const add = (code: string, message: string) => reasons.push({ code, message });
  const barred = target.slurmStates.filter((state) =>
    /^(drain|down|fail|error|not_responding|no_respond|reboot|power|planned_down|maint|future|invalid|blocked)/.test(
      state,
    ),
  );
  if (target.name === source.name) return reasons;
  if ((target.leaving ?? '') !== '') add('target-leaving', `${target.name} is being emptied (${target.leaving})`);
  if (target.slurmStates.length === 0) add('target-not-in-slurm', `Slurm knows no node ${target.name}`);
  if (barred.length > 0) add('target-not-available', `${target.name} is ${barred.join(', ')} in Slurm`);
  if (!target.agentAlive) {
    add('target-agent-down', `the agent on ${target.name} does not answer`);
    return reasons;
  }
  if (!target.criuOk) add('target-criu', `CRIU failed its self-test on ${target.name}; run rankshift doctor there`);
  const needed = memoryBytes * memoryFactor;
  if (target.memoryAvailableBytes < needed) {
    add(
      'target-memory',
      `${target.name} has ${mib(target.memoryAvailableBytes)} MiB of memory available, ${mib(needed)} MiB are needed`,
    );
  }
  // Nodes with the same kind of processor share the list.
  const same = source.cpuFlags === target.cpuFlags;
  const missing = same ? [] : source.cpuFlags.filter((flag) => !target.cpuFlags.includes(flag));
  if (missing.length > 0) add('target-cpu', `the CPU of ${target.name} lacks ${missing.join(' ')}`);
  for (const { digest, from } of target.missingLayers) {
    if (from.length > 0) continue;
    const message = `${target.name} lacks layer ${digest.slice(0, 19)} of the image, and no node can send it`;
    add('target-image', message);
  }
  // Extracted, files take whole blocks.
  const layerBytes = target.missingLayers.reduce((sum, { bytes }) => sum + bytes, 0) * layerFactor;
  if (target.storeFreeBytes !== null && target.storeFreeBytes < layerBytes) {
    add(
      'target-image-store',
      `the image store of ${target.name} has ${mib(target.storeFreeBytes)} MiB free, ${mib(layerBytes)} MiB are needed for the layers that it lacks`,
    );
  }
  return reasons;
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 1_048_576);
}

/**
 * Orders the nodes that can take a container: none of our containers first, then idle in Slurm, then most memory.
 * Returns the best, or null. One whose state in Slurm is not known is never chosen.
 * @param full nodes that Slurm would not give the job.
 */
export function chooseTarget(
  source: NodeFacts,
  candidates: readonly NodeFacts[],
  memoryBytes: number,
  full: ReadonlyMap<string, string> = new Map(),
): NodeFacts | null {
  const fitting = candidates.filter(
    (node) =>
      node.name !== source.name &&
      stateIsKnown(node) &&
      !full.has(node.name) &&
      targetReasons(source, node, memoryBytes).length === 0,
  );
  const idle = (node: NodeFacts) => (node.slurmStates.includes('idle') ? 0 : 1);
  fitting.sort(
    (a, b) =>
      a.containers - b.containers ||
      idle(a) - idle(b) ||
      b.memoryAvailableBytes - a.memoryAvailableBytes ||
      a.name.localeCompare(b.name),
  );
  return fitting[0] ?? null;
}
