/**
 * Whether a rank container goes to a quieter node: numbers in, decisions out. A job is as fast as its slowest container,
 * so what counts is the container that is held up most by what else runs on its node, and what its job gains.
 */

export interface BalanceSettings {
  /** Share of the time for which a container has to be held up, 0 to 1. */
  threshold: number;
  /** How long, ms. */
  holdMs: number;
  /** The job has to become faster by at least this factor, as predicted. */
  margin: number;
  /** After a move of a container, whoever asked for it, ms. */
  cooldownMs: number;
  /** Of the balancer, on the whole cluster. */
  movesPerHour: number;
}

/** A container as its agent and the records see it. Shares are of the time, 0 to 1; processors are of use. */
export interface BalanceContainer {
  id: string;
  job: number;
  node: string;
  /** Processors that it uses. */
  cpus: number;
  /** Share in which its ranks could run and others, or other machines on the same hardware, had the processor. */
  heldUp: number;
  /** Share of its ranks inside of MPI calls; null without the shim. */
  mpiWait: number | null;
  /** Since when it has been held up beyond the threshold, Unix ms; null where it is not. */
  since: number | null;
  /** When it was last moved, by whomever; null where it never was. */
  movedAt: number | null;
  /** It, or another of its job, is being moved. */
  moving: boolean;
}

export interface BalanceNode {
  name: string;
  /** May take a container: agent, Slurm and CRIU say so. */
  usable: boolean;
  cpus: number;
  /** Processors in use, by everything. */
  usedCpus: number;
  /** Share of the time in which somebody waited for a processor, 0 to 1. */
  pressure: number;
  /** Share of its processors' time that a hypervisor gives to others, 0 to 1. */
  stolen: number;
  /** A move goes there or leaves it: its figures will not hold. */
  moving: boolean;
}

export interface BalanceInput {
  now: number;
  settings: BalanceSettings;
  containers: readonly BalanceContainer[];
  nodes: readonly BalanceNode[];
  /** What is left of each job, ms. */
  remainingMs: ReadonlyMap<number, number>;
  /** What a move costs its job, ms of its time. */
  costMs: number;
  /** When the balancer asked for moves in the last hour, Unix ms. */
  movesLately: readonly number[];
}

export interface Decision {
  container: string;
  act: 'move' | 'stay';
  from: string;
  to: string | null;
  /** One line for people. */
  why: string;
  /** Of staying, for programs: what kept it. */
  reason: StayReason | null;
}
export type StayReason = 'hold' | 'moving' | 'not-slowest' | 'cool-down' | 'budget' | 'no-quiet-node' | 'gain' | 'cost';

const hourMs = 3_600_000;
/** Where ranks wait so much more in MPI than those of another container, the other one is the slow one. */
const mpiSlack = 0.2;
/** No node is so full that nothing more runs. */
const leastSpeed = 0.02;

/** Decisions about the containers that are held up, the worst first; nothing is said of those that are not. */
export function balance(input: BalanceInput): Decision[] {
  const { now, settings, containers } = input;
  const slow = containers
    .filter(({ heldUp }) => heldUp >= settings.threshold)
    .toSorted((a, b) => b.heldUp - a.heldUp || a.id.localeCompare(b.id));
  const nodes = new Map(input.nodes.map((node) => [node.name, { ...node }]));
  const jobs = new Set<number>();
  let left = settings.movesPerHour - input.movesLately.filter((at) => now - at < hourMs).length;
  return slow.map((container) => {
    const decision = decide(container, input, nodes, { left, jobMoves: jobs.has(container.job) });
    if (decision.act !== 'move' || decision.to === null) return decision;
    left -= 1;
    jobs.add(container.job);
    // What the next ones find there.
    for (const name of [container.node, decision.to]) {
      const node = nodes.get(name);
      if (node !== undefined) node.moving = true;
    }
    return decision;
  });
}

function decide(
  container: BalanceContainer,
  { now, settings, containers, remainingMs, costMs }: BalanceInput,
  nodes: ReadonlyMap<string, BalanceNode>,
  { left, jobMoves }: { left: number; jobMoves: boolean },
): Decision {
  const { id, node, heldUp, since, movedAt } = container;
  const from = nodes.get(node);
  const others = from === undefined ? 0 : Math.max(0, from.usedCpus - container.cpus);
  const heldMs = since === null ? 0 : now - since;
  const state = `held up ${percent(heldUp)} of the time for ${seconds(heldMs)}, others use ${others.toFixed(1)} processors of ${node}`;
  const stay = (reason: StayReason, why: string): Decision => ({
    ...{ container: id, act: 'stay', from: node, to: null, reason },
    why: `${state}; stays: ${why}`,
  });
  const peers = containers.filter(({ job, id: other }) => job === container.job && other !== id);
  if (container.moving || jobMoves || from?.moving === true) return stay('moving', 'a move is under way there');
  if (heldMs < settings.holdMs) return stay('hold', `not yet ${seconds(settings.holdMs)}`);
  if (movedAt !== null && now - movedAt < settings.cooldownMs)
    return stay('cool-down', `moved ${seconds(now - movedAt)} ago, of ${seconds(settings.cooldownMs)}`);
  const slower = peers.find((peer) => waitsFor(container, peer));
  if (slower !== undefined) return stay('not-slowest', `its ranks wait in MPI, for those of ${slower.id} above all`);
  const [best] = [...nodes.values()]
    .filter(({ name, usable, moving }) => name !== node && usable && !moving)
    .map((target) => ({ target, speed: predictedSpeed(container, target) }))
    .toSorted((a, b) => b.speed - a.speed || a.target.name.localeCompare(b.target.name));
  if (best === undefined) return stay('no-quiet-node', 'no other node can take it now');
  const restSpeed = Math.min(1, ...peers.map(({ heldUp: share }) => 1 - share));
  const before = Math.max(leastSpeed, Math.min(restSpeed, 1 - heldUp));
  const after = Math.max(leastSpeed, Math.min(restSpeed, best.speed));
  const faster = after / before;
  const { name } = best.target;
  if (best.speed <= 1 - heldUp) return stay('no-quiet-node', `on ${name}, the quietest, it would not run faster`);
  if (faster < settings.margin)
    return stay('gain', `on ${name} its job would be ${faster.toFixed(2)} times as fast, less than ${settings.margin}`);
  const remaining = remainingMs.get(container.job) ?? 0;
  const savedMs = remaining * (1 - 1 / faster);
  const figures = `saves ${seconds(savedMs)} of ${seconds(remaining)}, costs ${(costMs / 1000).toFixed(1)} s`;
  if (savedMs <= costMs) return stay('cost', `a move to ${name} ${figures}`);
  if (left <= 0) return stay('budget', `${settings.movesPerHour} moves in this hour were made`);
  return {
    ...{ container: id, act: 'move', from: node, to: name, reason: null },
    why: `${state}; on ${name} its job is predicted ${faster.toFixed(1)} times as fast: ${figures}`,
  };
}

/** Whether the first spends its time waiting for the second: both say how long their ranks are inside of MPI. */
function waitsFor(one: BalanceContainer, other: BalanceContainer): boolean {
  return one.mpiWait !== null && other.mpiWait !== null && one.mpiWait > other.mpiWait + mpiSlack;
}

/**
 * Share of what it wants that a container gets on a node, where all get the same: what it wants is what it would use if
 * it never waited, and likewise what runs there.
 */
export function predictedSpeed({ cpus, heldUp }: BalanceContainer, target: BalanceNode): number {
  const wants = cpus / Math.max(0.1, 1 - heldUp);
  const there = target.usedCpus / Math.max(0.1, 1 - target.pressure);
  return Math.min(1, target.cpus / Math.max(0.001, there + wants)) * (1 - target.stolen);
}

const percent = (share: number) => `${Math.round(share * 100)}%`;
const seconds = (ms: number) => (Number.isFinite(ms) ? `${Math.round(ms / 1000)} s` : 'all');
