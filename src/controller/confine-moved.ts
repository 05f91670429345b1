import type { AllocationRecord } from '../migration/allocation.ts';
import type { ContainerRecord } from '../migration/container.ts';
import type { JobFacts } from '../slurm/facts.ts';
import type { ControllerContext } from './context.ts';

const confineMs = 5000;

/**
 * Holds containers that have moved to the processors that Slurm gave their job, or its shadow, where they are now. An agent
 * that does not do it is asked again with the next look; the job runs either way.
 * @returns the record with what was done.
 */
export async function confineMoved(
  { commands, log }: ControllerContext,
  facts: JobFacts,
  record: AllocationRecord,
  containers: readonly ContainerRecord[],
): Promise<AllocationRecord> {
  const confined = { ...record.confined };
  for (const { id, owner, state } of containers) {
    const shadow = record.shadows.find((one) => one.node === owner && one.containers.includes(id));
    const slurmJob = facts.nodes.includes(owner) ? facts.job : shadow?.slurmJob;
    const where = `${owner} ${slurmJob}`;
    if (state !== 'running' || slurmJob === undefined || confined[id] === where) continue;
    try {
      await commands.send(owner, 'confine', { container: id, slurmJob }, { timeoutMs: confineMs, container: id });
      confined[id] = where;
    } catch (error) {
      log.warn({ container: id, node: owner, error: (error as Error).message }, 'not confined to its processors yet');
    }
  }
  return { ...record, confined };
}
