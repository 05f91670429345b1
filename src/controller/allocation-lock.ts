import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { dropLease, renewLease } from '../store/leases.ts';
import type { ControllerContext } from './context.ts';

const leaseMs = 5000;
const renewMs = 1500;
const pollMs = 50;
/** Longer than Slurm may take to hold a node for another container of the job. */
const patienceMs = 90_000;

/** Lets one at a time change the allocation of a job, over all controllers; one that dies holds it for five seconds. */
export async function withAllocationOf<T>(
  { redis, log, instance }: ControllerContext,
  job: number,
  act: () => Promise<T>,
): Promise<T> {
  const name = `allocation-${job}`;
  const holder = `${instance}/${randomUUID()}`;
  const deadline = Date.now() + patienceMs;
  while (!(await renewLease(redis, name, holder, leaseMs))) {
    if (Date.now() > deadline) throw new RankshiftError('E_BUSY', `the allocation of job ${job} is being changed`);
    await sleep(pollMs);
  }
  const timer = setInterval(() => {
    renewLease(redis, name, holder, leaseMs).catch((error: Error) =>
      log.warn({ job, error: error.message }, 'lease of an allocation not renewed'),
    );
  }, renewMs);
  try {
    return await act();
  } finally {
    clearInterval(timer);
    await dropLease(redis, name, holder).catch(() => undefined);
  }
}
