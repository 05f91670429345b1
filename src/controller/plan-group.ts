import { inspectResultSchema } from '../migration/commands.ts';
import type { ContainerRecord } from '../migration/container.ts';
import type { GroupMember } from '../migration/group.ts';
import { joinsAs } from '../migration/group-member.ts';
import { type Demand, place } from '../migration/placement.ts';
import { memoryFactor, type NodeFacts, stateIsKnown, targetReasons, unknownState } from '../migration/plan.ts';
import { patiently } from '../patience.ts';
import { runningJobs } from '../slurm/facts.ts';
import { switchPaths } from '../slurm/topology.ts';
import { listContainers } from '../store/containers.ts';
import { listRuns } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';
import { gatherNodes } from './node-facts.ts';
import { termsOfMove } from './policy.ts';

/** Containers that are asked about at the same time: an answer takes its time, and a rack may have thousands. */
const atOnce = 256;

export interface Leaver {
  container: ContainerRecord;
  /** Nodes that may take it; empty: any. */
  only: readonly string[];
}

/** Finds a target for each container, or says why it has none. Looks at the containers and the nodes; changes nothing. */
export async function planGroup(
  context: ControllerContext,
  leavers: readonly Leaver[],
  avoid: ReadonlySet<string>,
): Promise<GroupMember[]> {
  const [nodes, containers, runs, switches, inspected, answered] = await Promise.all([
    gatherNodes(context),
    listContainers(context.redis),
    listRuns(context.redis),
    switchPaths(context.config),
    inspectAll(context, leavers),
    heldCpus(context),
  ]);
  const held = answered ?? new Map<number, Map<string, number>>();
  const named = new Set(leavers.flatMap(({ only }) => only));
  const forbidden = await forbiddenJobs(context, leavers);
  const ranks = new Map(runs.map(({ job, ranksPerContainer }) => [job, ranksPerContainer]));
  const alive = containers.filter(({ state }) => state !== 'ended');
  const present = new Map<number, Map<string, number>>();
  const busy = new Map<string, number>();
  for (const { job, owner, heading } of alive) {
    const cpus = ranks.get(job) ?? 1;
    const ofJob = present.get(job) ?? new Map<string, number>();
    present.set(job, ofJob.set(owner, (ofJob.get(owner) ?? 0) + 1));
    busy.set(owner, (busy.get(owner) ?? 0) + cpus);
    // What comes takes its room before it is there.
    if (heading !== '' && heading !== owner) busy.set(heading, (busy.get(heading) ?? 0) + cpus);
    const ofNode = held.get(job);
    if (ofNode?.has(owner) === true) ofNode.set(owner, (ofNode.get(owner) ?? 0) - cpus);
  }
  const demands: Demand[] = leavers.flatMap(({ container, only }, index) => {
    const facts = inspected[index];
    if (facts == null || facts.reasons.length > 0 || forbidden.has(container.job)) return [];
    return {
      ...{ container: container.id, job: container.job, from: container.owner },
      memoryBytes: facts.memoryBytes * memoryFactor,
      cpus: ranks.get(container.job) ?? 1,
      ...(only.length === 0 ? {} : { only }),
    };
  });
  const placed = place({
    nodes: nodes.map((node) => ({
      name: node.name,
      barred: avoid.has(node.name) ? `${node.name} is being emptied` : barredBecause(node, named),
      memoryFreeBytes: node.memoryAvailableBytes,
      // Slurm does not know of all containers that came to a node, nor do we of all its jobs.
      cpusFree: Math.min(
        node.cpusFree ?? Number.POSITIVE_INFINITY,
        (node.slurmCpus ?? node.cpus ?? 0) - (busy.get(node.name) ?? 0),
      ),
      cpuFlags: node.cpuFlags,
      switches: switches.get(node.name) ?? [],
    })),
    ...{ demands, present, held },
  });
  const byId = new Map(placed.map((placement) => [placement.container, placement]));
  const slurmSilent = answered === null || !nodes.some(stateIsKnown);
  return leavers.map(({ container }, index) => {
    const { id, job, owner } = container;
    const against = forbidden.get(job) ?? whyNotAsked(container, inspected[index] ?? null);
    const found = { container: id, job, from: owner };
    return joinsAs(found, byId.get(id) ?? null, against, { slurmSilent, now: Date.now() });
  });
}

/** What is against a node whatever it is to take. @param named nodes that somebody asked for */
function barredBecause(node: NodeFacts, named: ReadonlySet<string>): string | null {
  if (!stateIsKnown(node) && !named.has(node.name)) return unknownState(node.name);
  const nowhere = { ...node, name: '', cpuFlags: [] };
  const reasons = targetReasons(nowhere, node, 0);
  return reasons.length === 0 ? null : reasons.map(({ message }) => message).join(', ');
}

function whyNotAsked({ id, owner }: ContainerRecord, facts: { reasons: GroupMember['reasons'] } | null) {
  if (facts !== null && facts.reasons.length > 0) return facts.reasons;
  return [{ code: 'source-unknown', message: `the agent on ${owner} could not say what ${id} is` }];
}

/** Jobs that the policy of the site, or their users', keeps where they are. */
async function forbiddenJobs(context: ControllerContext, leavers: readonly Leaver[]) {
  const jobs = new Map(leavers.map(({ container }) => [container.job, container.id]));
  const terms = await Promise.all(
    [...jobs].map(async ([job, id]) => [job, (await termsOfMove(context, job, { container: id })).reasons] as const),
  );
  return new Map(terms.filter(([, reasons]) => reasons.length > 0));
}

async function inspectAll(context: ControllerContext, leavers: readonly Leaver[]) {
  const results: (Awaited<ReturnType<typeof inspectOne>> | undefined)[] = leavers.map(() => undefined);
  let next = 0;
  const work = async () => {
    for (let index = next++; index < leavers.length; index = next++) {
      const leaver = leavers[index];
      if (leaver !== undefined) results[index] = await inspectOne(context, leaver.container);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, leavers.length) }, work));
  return results;
}

async function inspectOne(context: ControllerContext, { id, owner }: ContainerRecord) {
  try {
    const options = { timeoutMs: patiently(10_000), container: id };
    return inspectResultSchema.parse(
      await context.commands.send(owner, 'inspect', { container: id, target: null }, options),
    );
  } catch (error) {
    context.log.warn({ container: id, node: owner, error: (error as Error).message }, 'inspection failed');
    return null;
  }
}

/** CPUs that jobs hold, by node; null where Slurm does not answer. */
async function heldCpus({ config, log }: ControllerContext): Promise<Map<number, Map<string, number>> | null> {
  const jobs = await runningJobs(config, { timeoutMs: 6000 }).catch((error: Error) => {
    log.warn({ error: error.message }, 'Slurm did not say what its jobs hold');
    return null;
  });
  if (jobs === null) return null;
  return new Map(jobs.map(({ job, cpusPerNode }) => [job, new Map(Object.entries(cpusPerNode))]));
}
