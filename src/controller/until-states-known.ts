import { setTimeout as sleep } from 'node:timers/promises';
import { stateIsKnown } from '../migration/plan.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { readMigration } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';
import { gatherNodes } from './node-facts.ts';

const lookMs = 1000;

/**
 * A target is chosen by what Slurm says of its nodes. Where it has said nothing since this controller started, it is waited
 * for at most AllocationWaitMs: slurmctld is often started again together with the controller. A move to a named target
 * waits for nothing here.
 */
export async function untilStatesKnown(
  context: ControllerContext,
  { id, request }: Pick<MigrationRecord, 'id' | 'request'>,
  wait: (reason: string | null) => Promise<void>,
): Promise<void> {
  if (request.to !== undefined) return;
  const deadline = Date.now() + context.config.allocationWaitMs;
  let told = false;
  while (!(await gatherNodes(context)).some(stateIsKnown)) {
    const { cancelRequested } = await readMigration(context.redis, id);
    if (cancelRequested || context.stopping.aborted || Date.now() > deadline) return;
    if (!told) await wait('Slurm, which does not say in what state its nodes are');
    told = true;
    await sleep(lookMs);
  }
  if (told) await wait(null);
}
