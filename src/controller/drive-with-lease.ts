import { isPostponed } from '../migration/machine.ts';
import { dropLease, renewLease } from '../store/leases.ts';
import { listActiveMigrations } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';
import { driveMigration } from './drive.ts';

const leaseMs = 3000;
const renewMs = 1000;
const scanMs = 1000;

/**
 * Drives a migration if no other controller does. The lease only keeps two from trying at once; what makes a driver
 * harmless that loses it without noticing is its name in the record (drive.ts).
 */
export async function driveWithLease(context: ControllerContext, id: string): Promise<void> {
  const { redis, instance, log } = context;
  const name = `migration-${id}`;
  if (!(await renewLease(redis, name, instance, leaseMs))) return;
  const timer = setInterval(() => {
    renewLease(redis, name, instance, leaseMs).catch((error: Error) =>
      log.warn({ migration: id, error: error.message }, 'lease not renewed'),
    );
  }, renewMs);
  const drop = () => void dropLease(redis, name, instance).catch(() => undefined);
  // Its successor need not wait for the lease to run out.
  context.stopping.addEventListener('abort', drop, { once: true });
  try {
    await driveMigration(context, id);
  } catch (error) {
    if (!context.stopping.aborted)
      log.error({ migration: id, error: (error as Error).message }, 'driving failed; it is picked up again');
  } finally {
    clearInterval(timer);
    context.stopping.removeEventListener('abort', drop);
    await dropLease(redis, name, instance).catch(() => undefined);
  }
}

/** Picks up migrations that nobody drives: those of a controller that died, or that failed for want of Redis. */
export function pickUpOrphans(context: ControllerContext, driving: Set<string>): void {
  let policy = -1;
  const look = async () => {
    // Under another policy a window may be open.
    const looksAtAll = policy !== context.policy.version;
    policy = context.policy.version;
    for (const record of await listActiveMigrations(context.redis, driving)) {
      const { id } = record;
      if (!driving.has(id) && (looksAtAll || !isPostponed(record, Date.now()))) driveOnce(context, driving, id);
    }
  };
  const timer = setInterval(() => {
    look().catch((error: Error) => context.log.debug({ error: error.message }, 'looking for orphans'));
  }, scanMs);
  context.stopping.addEventListener('abort', () => clearInterval(timer));
}

/** Starts driving without waiting for the end; once per process and migration. */
export function driveOnce(context: ControllerContext, driving: Set<string>, id: string): Promise<void> {
  if (driving.has(id)) return Promise.resolve();
  driving.add(id);
  return driveWithLease(context, id).finally(() => driving.delete(id));
}
