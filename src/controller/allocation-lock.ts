import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { HeldLease } from '../store/leases.ts';
import type { ControllerContext } from './context.ts';

const leaseMs = 5000;
const pollMs = 50;
/** Longer than Slurm may take to hold a node for another container of the job. */
const patienceMs = 90_000;

/**
 * Lets one at a time change the allocation of a job, over all controllers; one that dies holds it for five seconds. Who was
 * stopped for longer stops before his next act, which may have been another's meanwhile, and begins anew.
 * @param act asks `lease.confirm` before each thing that it does to Slurm. It may be called more than once.
 */
export async function withAllocationOf<T>(
  { redis, log, stopping }: Pick<ControllerContext, 'redis' | 'log' | 'stopping'>,
  job: number,
  act: (lease: HeldLease) => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const lease = await HeldLease.take(redis, `allocation-${job}`, leaseMs);
    if (lease === null) {
      if (Date.now() > deadline) throw new RankshiftError('E_BUSY', `the allocation of job ${job} is being changed`);
      await sleep(pollMs);
      continue;
    }
    try {
      return await act(lease);
    } catch (error) {
      const known = RankshiftError.from(error);
      if (known.code !== 'E_STALE' || stopping.aborted || Date.now() > deadline) throw error;
      log.warn({ job, error: known.message }, 'the allocation is looked at anew');
    } finally {
      await lease.drop();
    }
  }
}
