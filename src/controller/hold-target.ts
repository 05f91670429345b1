import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { type AllocationRecord, type Share, shadowComment, shadowMinutes } from '../migration/allocation.ts';
import { containerId } from '../migration/container.ts';
import { mergeInto } from '../slurm/allocation.ts';
import { type JobFacts, jobFacts } from '../slurm/facts.ts';
import { askShadow, cancelShadows, type ShadowRequest } from '../slurm/shadow.ts';
import { readAllocation, writeAllocation } from '../store/allocations.ts';
import type { HeldLease } from '../store/leases.ts';
import { readRun } from '../store/runs.ts';
import { withAllocationOf } from './allocation-lock.ts';
import type { ControllerContext } from './context.ts';

const silentMs = 1000;

/** A container that comes to a node. */
export interface Coming {
  container: string;
  job: number;
  node: string;
  migration: string;
}

/**
 * Makes Slurm hold the target of a move before the container is touched: nothing to do where the job has the node, else
 * a shadow. What is asked for is in the records before and after.
 * @throws RankshiftError E_ALLOCATION where Slurm will not, E_SLURM where it is silent; then nothing is held.
 */
export async function holdTarget(
  context: ControllerContext,
  coming: Coming,
  { source, signal }: { source: string; signal: AbortSignal },
): Promise<void> {
  const { config } = context;
  if (config.allocationFollow === 'none') return;
  const deadline = Date.now() + config.allocationWaitMs;
  await withAllocationOf(context, coming.job, async (lease) => {
    const facts = await untilSlurmAnswers(deadline, () => jobFacts(config, coming.job));
    const record = await allocationOf(context, facts);
    const touched = [...new Set([...record.touched, source, coming.node])];
    await writeAllocation(lease, { ...record, touched });
    if (!facts.nodes.includes(coming.node)) {
      await holdNode(context, lease, facts, { ...record, touched }, coming, { deadline, signal });
    }
  });
}

/** A slurmctld that is started again is waited for; what it refuses is final. */
export async function untilSlurmAnswers<T>(deadline: number, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (RankshiftError.from(error).code !== 'E_SLURM' || Date.now() + silentMs > deadline) throw error;
      await sleep(silentMs);
    }
  }
}

/**
 * Asks for a node that the job does not have, and writes down who holds it. Only with the allocation's lock.
 * @returns the record with it.
 */
export async function holdNode(
  context: ControllerContext,
  lease: HeldLease,
  facts: JobFacts,
  record: AllocationRecord,
  coming: Coming,
  { deadline, signal }: { deadline: number; signal?: AbortSignal },
): Promise<AllocationRecord> {
  const { config, log } = context;
  const { container, node } = coming;
  const share = shareOf(record, container);
  const write = async (shadows: AllocationRecord['shadows']) => {
    const next = { ...record, shadows };
    await writeAllocation(lease, next);
    return next;
  };
  const there = record.shadows.find(
    (shadow) => shadow.node === node && (share.whole || shadow.containers.includes(container)),
  );
  if (there !== undefined) {
    const containers = [...new Set([...there.containers, container])];
    return await write(record.shadows.map((shadow) => (shadow === there ? { ...there, containers } : shadow)));
  }
  const request = shadowRequest(facts, coming, share);
  const merge = config.allocationFollow === 'merge';
  await lease.confirm();
  const slurmJob = await askShadow(
    config,
    { ...request, expands: merge },
    {
      waitMs: Math.max(1000, deadline - Date.now()),
      ...(signal === undefined ? {} : { signal }),
    },
  );
  log.info({ job: facts.job, container, node, slurmJob }, merge ? 'the node joins the job' : 'a shadow holds the node');
  try {
    await lease.confirm();
    if (!merge) return await write([...record.shadows, { slurmJob, node, containers: [container] }]);
    await mergeInto(config, slurmJob);
    return record;
  } catch (error) {
    // No record knows it.
    await cancelShadows(config, [slurmJob]);
    throw error;
  }
}

/** What is asked of Slurm for a container. */
export function shadowRequest(facts: JobFacts, coming: Coming, share: Share): ShadowRequest {
  return {
    job: facts,
    node: coming.node,
    ...share,
    minutes: shadowMinutes(Date.now(), facts.timeLimit === undefined ? undefined : facts.endTime, Date.now()),
    comment: shadowComment(coming.container, coming.migration),
  };
}

/** The record of a job's allocation; a new one where none of its containers has moved, or it was requeued since. */
export async function allocationOf({ redis }: ControllerContext, facts: JobFacts): Promise<AllocationRecord> {
  const known = await readAllocation(redis, facts.job);
  if (known !== null && known.restarts === facts.restarts) return known;
  const run = await readRun(redis, facts.job);
  const nodes = run?.nodes ?? facts.nodes;
  const named = nodes.map((node, index) => [containerId(facts.job, index), node] as const);
  return {
    version: 1,
    ...{ job: facts.job, uid: facts.uid, gid: facts.gid, restarts: facts.restarts },
    nodes: facts.nodes,
    shares: Object.fromEntries(named.map(([id, node]) => [id, factsShare(facts, node)])),
    places: Object.fromEntries(named),
    // Of the job before its requeue; they end when the allocation is settled next.
    shadows: known?.shadows ?? [],
    touched: [],
    confined: {},
    comment: '',
  };
}

function factsShare(facts: JobFacts, node: string): Share {
  return {
    cpus: facts.cpusPerNode[node] ?? 1,
    memoryMiB: facts.memoryPerNode?.[node] || null,
    whole: facts.whole,
    tasks: facts.tasksPerNode[node] ?? 1,
  };
}

/** What a container's node has to have free for it. */
export function shareOf({ shares }: Pick<AllocationRecord, 'shares'>, container: string): Share {
  return shares[container] ?? { cpus: 1, memoryMiB: null, whole: false, tasks: 1 };
}
