import { RankshiftError } from '../errors.ts';
import {
  type AllocationDecision,
  type AllocationRecord,
  allocationComment,
  decideAllocation,
  limitIsStale,
  neededNodes,
  shadowMinutes,
  withComment,
} from '../migration/allocation.ts';
import { type ContainerRecord, containerId } from '../migration/container.ts';
import { isFinal } from '../migration/machine.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { setAdminComment, shrinkJob, stepNodes } from '../slurm/allocation.ts';
import { holdsNodes, type JobFacts, jobFacts } from '../slurm/facts.ts';
import { cancelShadows, type ListedShadow, limitShadow, listShadows } from '../slurm/shadow.ts';
import { readAllocation, removeAllocation, writeAllocation } from '../store/allocations.ts';
import type { HeldLease } from '../store/leases.ts';
import { listMovesOf } from '../store/migrations.ts';
import { readRun } from '../store/runs.ts';
import { withAllocationOf } from './allocation-lock.ts';
import { confineMoved } from './confine-moved.ts';
import type { ControllerContext } from './context.ts';
import { holdNode } from './hold-target.ts';
import { ownShadows } from './own-shadows.ts';
import { containersOfJob } from './places.ts';

/** A node that is not held any more is asked for in passing: the next look tries again. */
const againMs = 2000;

/**
 * Brings a job's allocation in Slurm in line with where its containers are: shadows that hold nothing end, nodes that
 * containers have left leave the job, limits and comments follow; after the job nothing stays. Any number of times,
 * at any time; what fails is done the next time (watch-allocations.ts).
 * @param cleared a move whose source has nothing of the container any more, although it has not ended.
 * @returns what is the case now, for people.
 * @throws RankshiftError E_SLURM where Slurm does not answer.
 */
export async function settleAllocation(context: ControllerContext, job: number, cleared?: string): Promise<string[]> {
  return await withAllocationOf(context, job, async (lease) => {
    const { config, redis, log } = context;
    const [facts, listed] = await Promise.all([factsOrNull(context, job), listShadows(config)]);
    const record = await readAllocation(redis, job);
    const run = await readRun(redis, job);
    const ofRun = Array.from({ length: run?.containers ?? 0 }, (_, index) => containerId(job, index));
    const ids = new Set([...ofRun, ...Object.keys(record?.places ?? {})]);
    const moves = (await listMovesOf(redis, [...ids])).filter(({ state }) => !isFinal(state));
    // After the moves: where one has ended meanwhile, its container is where that brought it.
    const all = await containersOfJob(context, job);
    const lost = ownShadows(listed, record, job).filter(({ migration }) => !moves.some(({ id }) => id === migration));
    if (lost.length > 0) {
      log.warn({ job, shadows: lost }, 'shadows that no record knows are cancelled');
      await lease.confirm();
      await cancelShadows(
        config,
        lost.map(({ slurmJob }) => slurmJob),
      );
    }
    if (record === null) return [];
    const over = facts === null || !(facts.state === 'running' || facts.state === 'suspended');
    if (facts === null || (over && run === null) || facts.restarts !== record.restarts || !holdsNodes(facts)) {
      await lease.confirm();
      await cancelShadows(
        config,
        record.shadows.map(({ slurmJob }) => slurmJob),
      );
      await removeAllocation(lease, job);
      log.info({ job, shadows: record.shadows }, 'the job is over: nothing is held for it any more');
      return [];
    }
    // The end of its run is under way: what is held is still needed, and nothing more is.
    if (over) return [];
    const containers = all.filter(({ state }) => state !== 'ended');
    return await align(context, lease, facts, record, { containers, moves, cleared, listed });
  });
}

interface Found {
  containers: ContainerRecord[];
  moves: MigrationRecord[];
  cleared: string | undefined;
  listed: ListedShadow[];
}

async function align(
  context: ControllerContext,
  lease: HeldLease,
  facts: JobFacts,
  record: AllocationRecord,
  { containers, moves, cleared, listed }: Found,
): Promise<string[]> {
  const { config, log } = context;
  const alive = new Set(listed.map(({ slurmJob }) => slurmJob));
  const places = { ...record.places, ...Object.fromEntries(containers.map(({ id, owner }) => [id, owner])) };
  // Between two runs of a job its containers are where they were: the next run starts there.
  const wanted = Object.entries(places).map(([id, owner]) => {
    const move = moves.find((one) => one.container === id && one.target !== null);
    return { id, nodes: neededNodes(owner, move, { cleared: move?.id === cleared }) };
  });
  let next: AllocationRecord = {
    ...record,
    places,
    shadows: record.shadows.filter(({ slurmJob }) => alive.has(slurmJob)),
  };
  const decision = decideAllocation({
    ...{ nodes: facts.nodes, batchHost: facts.batchHost, containers: wanted },
    ...{ shadows: next.shadows, touched: record.touched },
    stepNodes: record.touched.some((node) => facts.nodes.includes(node)) ? await stepNodes(config, facts.job) : [],
    whole: facts.whole,
  });
  next = { ...next, shadows: shadowsAfter(next, decision) };
  for (const { container, node } of decision.hold) {
    // A move that is just being prepared asks for its target itself.
    if (places[container] !== node) continue;
    const coming = { container, node, job: facts.job, migration: '0' };
    try {
      next = await holdNode(context, lease, facts, next, coming, { deadline: Date.now() + againMs });
    } catch (error) {
      if (RankshiftError.from(error).code === 'E_STALE') throw error;
      log.warn({ job: facts.job, container, node, error: (error as Error).message }, 'a node is not held');
    }
  }
  await writeAllocation(lease, next);
  await cancelShadows(
    config,
    decision.cancel.map(({ slurmJob }) => slurmJob),
  );
  const nodes = facts.nodes.filter((node) => !decision.release.includes(node));
  if (decision.release.length > 0) {
    await lease.confirm();
    await shrinkJob(config, facts.job, nodes);
    log.info({ job: facts.job, released: decision.release }, 'nodes left the job');
  }
  await lease.confirm();
  await followLimit(context, facts, next, listed);
  next = await confineMoved(context, facts, next, containers);
  await writeAllocation(lease, next);
  const comment = allocationComment(places, { nodes, shadows: next.shadows, stay: decision.stay });
  if (comment !== record.comment || !facts.adminComment.includes(comment)) {
    await lease.confirm();
    await setAdminComment(config, facts.job, withComment(facts.adminComment, comment));
    await writeAllocation(lease, { ...next, comment });
  }
  return notes(nodes, next, decision.stay);
}

function shadowsAfter({ shadows }: AllocationRecord, { cancel, reassign }: AllocationDecision) {
  return shadows
    .filter(({ slurmJob }) => !cancel.some((gone) => gone.slurmJob === slurmJob))
    .map((shadow) => reassign.find(({ slurmJob }) => slurmJob === shadow.slurmJob) ?? shadow);
}

/** A job's time limit may be changed while it runs; its shadows end with it. */
async function followLimit(
  { config, log }: ControllerContext,
  facts: JobFacts,
  { shadows }: AllocationRecord,
  listed: readonly ListedShadow[],
): Promise<void> {
  const end = facts.timeLimit === undefined ? undefined : facts.endTime;
  for (const { slurmJob } of shadows) {
    const shadow = listed.find((one) => one.slurmJob === slurmJob);
    if (shadow === undefined || shadow.startedAt === 0) continue;
    const minutes = shadowMinutes(shadow.startedAt, end, Date.now());
    if (!limitIsStale(shadow.limitMinutes, minutes, end === undefined)) continue;
    await limitShadow(config, slurmJob, minutes).catch((error: Error) =>
      log.warn({ job: facts.job, slurmJob, error: error.message }, 'the time limit of a shadow was not set'),
    );
  }
}

/** What is the case, whoever brought it about and when. */
function notes(nodes: readonly string[], record: AllocationRecord, stay: AllocationDecision['stay']): string[] {
  const { job, shadows } = record;
  const held = [...nodes, ...shadows.map(({ node }) => node)];
  const left = record.nodes.filter((node) => !held.includes(node));
  return [
    ...shadows.map(
      ({ slurmJob, node, containers }) => `${node} is held by job ${slurmJob} for ${containers.join(', ')}`,
    ),
    ...left.map((node) => `${node} has left job ${job}`),
    ...stay.map(({ node, why }) => `${node} stays in job ${job}, empty of ranks: ${why}`),
  ];
}

async function factsOrNull({ config }: ControllerContext, job: number): Promise<JobFacts | null> {
  try {
    return await jobFacts(config, job);
  } catch (error) {
    if (RankshiftError.from(error).code === 'E_UNKNOWN_JOB') return null;
    throw error;
  }
}
