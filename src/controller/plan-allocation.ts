import { RankshiftError } from '../errors.ts';
import { lacksRoom, type Share } from '../migration/allocation.ts';
import type { ContainerRecord } from '../migration/container.ts';
import type { Plan, Reason } from '../migration/record.ts';
import { type JobFacts, jobFacts, nodeFacts } from '../slurm/facts.ts';
import { tryShadow } from '../slurm/shadow.ts';
import type { ControllerContext } from './context.ts';
import { allocationOf, shadowRequest, shareOf } from './hold-target.ts';
import { containersOfJob } from './places.ts';

/** What the allocation of a container's job means for a move. */
export interface AllocationOutlook {
  /** Nodes where Slurm has no room for the container, with the reason; those of the job itself always have. */
  full: Map<string, string>;
  /** Completes a plan: what would become of the allocation, and a reason where Slurm would not hold the target. */
  complete: (plan: Plan) => Promise<Plan>;
}

const indifferent: AllocationOutlook = { full: new Map(), complete: async (plan) => plan };

/** Asks Slurm and changes nothing. A slurmctld that does not answer is no reason against a move yet: it is waited for. */
export async function allocationOutlook(
  context: ControllerContext,
  container: ContainerRecord,
): Promise<AllocationOutlook> {
  const { config, log } = context;
  if (config.allocationFollow === 'none') return indifferent;
  try {
    const facts = await jobFacts(config, container.job);
    const record = await allocationOf(context, facts);
    const share = shareOf(record, container.id);
    const held = record.shadows
      .filter(({ containers }) => share.whole || containers.includes(container.id))
      .map(({ node }) => node);
    const others = (await nodeFacts(config)).filter(({ name }) => !facts.nodes.includes(name) && !held.includes(name));
    const lacking = others.flatMap((node) => {
      const why = lacksRoom(node, share);
      return why === null ? [] : [[node.name, why] as const];
    });
    const has = (node: string) => facts.nodes.includes(node) || held.includes(node);
    return {
      full: new Map(lacking),
      complete: async (plan) => {
        if (plan.target === null || plan.target === plan.source) return plan;
        const [reason, notes] = await Promise.all([
          has(plan.target) ? null : refusal(context, facts, container, plan.target, share),
          outlookNotes(context, facts, container, plan.target, share, has(plan.target)),
        ]);
        if (reason === null) return { ...plan, allocation: notes };
        return { ...plan, reasons: [...plan.reasons, reason] };
      },
    };
  } catch (error) {
    const known = RankshiftError.from(error);
    if (known.code !== 'E_SLURM') throw known;
    log.warn({ container: container.id, error: known.message }, 'Slurm was not asked about the target');
    return indifferent;
  }
}

async function refusal(
  { config, log }: ControllerContext,
  facts: JobFacts,
  { id }: ContainerRecord,
  node: string,
  share: Share,
): Promise<Reason | null> {
  const coming = { container: id, job: facts.job, node, migration: '0' };
  const message = await tryShadow(config, shadowRequest(facts, coming, share), config.allocationWaitMs).catch(
    (error: Error) => {
      log.warn({ container: id, node, error: error.message }, 'Slurm was not asked about the target');
      return null;
    },
  );
  return message === null ? null : { code: 'target-allocation', message };
}

async function outlookNotes(
  context: ControllerContext,
  facts: JobFacts,
  container: ContainerRecord,
  node: string,
  { cpus, memoryMiB, whole }: Share,
  has: boolean,
): Promise<string[]> {
  const { config } = context;
  const { job, owner } = container;
  const memory = memoryMiB === null ? '' : `, ${memoryMiB} MiB`;
  const what = whole ? 'all of it' : `${cpus} processor${cpus === 1 ? '' : 's'}${memory}`;
  const coming = has
    ? `${node} is held for job ${job} already`
    : config.allocationFollow === 'merge'
      ? `${node} joins job ${job} (${what})`
      : `${node} is held by a job of its own for ${facts.user} (${what})`;
  const stay = (await containersOfJob(context, job)).some(
    (other) => other.id !== container.id && other.owner === owner,
  );
  if (stay || !facts.nodes.includes(owner)) return [coming];
  const going =
    owner === facts.batchHost
      ? `${owner} stays in job ${job}, empty of ranks: the job's script runs there`
      : `${owner} leaves job ${job}`;
  return [coming, going];
}
