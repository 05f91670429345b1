import { parseShadowComment } from '../migration/allocation.ts';
import { listShadows } from '../slurm/shadow.ts';
import { listAllocations } from '../store/allocations.ts';
import type { ControllerContext } from './context.ts';
import { settleAllocation } from './follow-allocation.ts';

const lookMs = 15_000;

/**
 * Looks at the start and now and then whether every allocation is as it should be: what a controller that died left, what
 * could not be done while Slurm was silent, shadows that somebody cancelled, limits that were changed, jobs that ended.
 */
export function watchAllocations(context: ControllerContext): void {
  let busy = false;
  const look = async () => {
    if (busy) return;
    busy = true;
    await lookAtAll(context)
      .catch((error: Error) => context.log.debug({ error: error.message }, 'looking at allocations'))
      .finally(() => {
        busy = false;
      });
  };
  void look();
  const timer = setInterval(() => void look(), lookMs);
  context.stopping.addEventListener('abort', () => clearInterval(timer));
}

async function lookAtAll(context: ControllerContext): Promise<void> {
  const known = await listAllocations(context.redis);
  if (known.length === 0 && context.config.allocationFollow === 'none') return;
  const listed = await listShadows(context.config);
  const found = listed.map(({ comment }) => parseShadowComment(comment)?.job).filter((job) => job !== undefined);
  for (const job of new Set([...known, ...found])) {
    if (context.stopping.aborted) return;
    await settleSoon(context, job);
  }
}

/**
 * Settles an allocation; what cannot be done now is done at the next look.
 * @param cleared a move whose source has nothing of the container any more.
 */
export async function settleSoon(context: ControllerContext, job: number, cleared?: string): Promise<string[]> {
  try {
    return await settleAllocation(context, job, cleared);
  } catch (error) {
    context.log.warn({ job, error: (error as Error).message }, 'the allocation is settled later');
    return [`Slurm does not answer: the allocation of job ${job} is settled later`];
  }
}
