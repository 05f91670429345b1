import type { BalanceContainer, BalanceInput, BalanceNode } from '../migration/balance.ts';
import type { CostSample } from '../migration/estimate.ts';
import { isFinal } from '../migration/machine.ts';
import type { MigrationRecord } from '../migration/record.ts';
import type { NodeFacts } from '../slurm/facts.ts';
import { readContainers } from '../store/containers.ts';
import { readCostSamples } from '../store/costs.ts';
import { countActiveMigrations, listActiveMigrations } from '../store/migrations.ts';
import type { MeasuredNode } from '../store/nodes.ts';
import type { ControllerContext } from './context.ts';
import { type MeasuredContainer, measureHeldUp, stolenOf } from './held-up.ts';
import type { RecentMoves } from './recent-moves.ts';
import type { SlurmLately } from './slurm-lately.ts';

/** Name under which the balancer asks for moves. */
export const balancerName = 'balancer';

const hourMs = 3_600_000;
/** While more moves than this are under way, the cluster is being rearranged: nothing is decided by figures of then. */
const mostUnderWay = 500;
/** Jobs that are decided about in one look; where more are held up they take turns. */
const mostJobs = 32;
/** A job without time limit is taken to run on for so long. */
const horizonMs = 24 * hourMs;
/** What a move costs where none has been measured, and how much of the time around a freeze its job loses. */
const unknownCostMs = 2000;
const shareAround = 0.1;
const costsLately = 15;

/** What a look remembers of those before. */
export interface BalanceMemory {
  moves: RecentMoves;
  slurm: SlurmLately;
  /** Which look each job was last decided about in. */
  turns: Map<number, number>;
  look: number;
}

/**
 * All that a decision goes by, or null where nothing is held up. Slurm is asked only where somebody has been held up for
 * long enough.
 * @param hold false: whoever is held up now has been for long enough.
 */
export async function balanceInput(
  context: ControllerContext,
  memory: BalanceMemory,
  hold: boolean,
): Promise<BalanceInput | null> {
  const { redis, config } = context;
  const { balanceThreshold: threshold, balanceHoldMs: holdMs, balanceCooldownMs: cooldownMs } = config;
  const now = Date.now();
  const measured = await measureHeldUp(redis, threshold, now);
  if (measured.since.size === 0) return null;
  const sinceOf = (id: string) => {
    const since = measured.since.get(id);
    return since === undefined || hold ? (since ?? null) : Math.min(since, now - holdMs);
  };
  const jobs = jobsInTurn(measured.containers, memory);
  const members = measured.containers.filter(({ job }) => jobs.has(job));
  const ripe = members.some(({ id }) => now - (sinceOf(id) ?? now) >= holdMs);
  const [records, costs, active] = await Promise.all([
    readContainers(
      redis,
      members.map(({ id }) => id),
    ),
    readCostSamples(redis),
    activeMoves(context),
    memory.moves.read(redis, now, Math.max(hourMs, cooldownMs)),
  ]);
  const lastMoves = memory.moves.lastOfEach();
  const there = new Map(records.map((record) => [record.id, record]));
  const containers = members.flatMap(({ id, job, node, figures: [cpus, , , mpiWait], heldUp }): BalanceContainer[] => {
    const record = there.get(id);
    // What its node says may be older than a move.
    if (record === undefined || record.state !== 'running' || record.owner !== node) return [];
    const moving = active === null || record.migration !== '' || active.some((move) => move.job === job);
    return [
      { ...{ id, job, node, cpus, heldUp, mpiWait, moving }, since: sinceOf(id), movedAt: lastMoves.get(id) ?? null },
    ];
  });
  const slurm = ripe ? await memory.slurm.nodes(now) : new Map<string, NodeFacts>();
  return {
    now,
    settings: {
      ...{ threshold, holdMs, cooldownMs },
      ...{ margin: config.balanceMargin, movesPerHour: config.balanceMovesPerHour },
    },
    containers,
    nodes: measured.nodes.map((node) => describe(node, slurm.get(node.name), active ?? [])),
    costMs: costOf(costs),
    remainingMs: ripe ? await remainingOf(memory.slurm, jobs, now) : new Map(),
    movesLately: memory.moves.by(balancerName),
  };
}

/** Those whose turn is longest ago, and of them those that are held up most. */
export function jobsInTurn(
  containers: readonly Pick<MeasuredContainer, 'job' | 'heldUp'>[],
  memory: Pick<BalanceMemory, 'turns' | 'look'>,
): Set<number> {
  const worst = new Map<number, number>();
  for (const { job, heldUp } of containers) worst.set(job, Math.max(heldUp, worst.get(job) ?? 0));
  const turn = (job: number) => memory.turns.get(job) ?? 0;
  const ordered = [...worst].toSorted(([a, one], [b, other]) => turn(a) - turn(b) || other - one || a - b);
  const jobs = new Set(ordered.slice(0, mostJobs).map(([job]) => job));
  memory.look += 1;
  for (const job of memory.turns.keys()) if (!worst.has(job)) memory.turns.delete(job);
  for (const job of jobs) memory.turns.set(job, memory.look);
  return jobs;
}

/** Null where there are too many to look at. */
async function activeMoves({ redis }: ControllerContext): Promise<MigrationRecord[] | null> {
  if ((await countActiveMigrations(redis)) > mostUnderWay) return null;
  return (await listActiveMigrations(redis)).filter(({ state }) => !isFinal(state));
}

function describe(
  measured: MeasuredNode,
  slurm: NodeFacts | undefined,
  active: readonly MigrationRecord[],
): BalanceNode {
  const { name, cpus, criu, balance } = measured;
  return {
    ...{ name, cpus, usedCpus: balance.used, pressure: balance.pressure, stolen: stolenOf(measured) },
    // What depends on the container the move's own plan finds; a refusal is followed by the cool-down.
    usable: criu.ok && slurm?.usable === true && slurm.allocatedCpus < slurm.cpus,
    moving: active.some(({ source, target, request }) => [source, target, request.to].includes(name)),
  };
}

/** Until each job's time limit. A job of which Slurm does not say that it runs has nothing left: no move pays. */
async function remainingOf(slurm: SlurmLately, jobs: ReadonlySet<number>, now: number): Promise<Map<number, number>> {
  const ends = await slurm.endTimes(jobs, now);
  return new Map(
    [...jobs].map((job) => {
      const end = ends.get(job) ?? Number.NaN;
      if (!ends.has(job)) return [job, 0];
      return [job, Number.isFinite(end) ? Math.max(0, end - now) : horizonMs];
    }),
  );
}

function costOf(samples: readonly CostSample[]): number {
  const costs = samples.slice(0, costsLately).map(({ downtimeMs, aroundMs }) => downtimeMs + shareAround * aroundMs);
  return costs.toSorted((a, b) => a - b)[costs.length >> 1] ?? unknownCostMs;
}
