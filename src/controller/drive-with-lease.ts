import { isPostponed } from '../migration/machine.ts';
import { leaveMigration, takeMigration } from '../store/drivers.ts';
import { activeMigrations } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';
import { driveMigration } from './drive.ts';
import { stayAlive } from './stay-alive.ts';

const scanMs = 1000;

/**
 * Drives a migration if no other controller does. That one is alive only keeps two from trying at once; what makes a
 * driver harmless that is taken for dead and is not, is its name in the record (drive.ts).
 */
export async function driveWithLease(context: ControllerContext, id: string): Promise<void> {
  const { redis, instance, log } = context;
  let taken = false;
  try {
    await stayAlive(context);
    taken = await takeMigration(redis, id, instance);
    if (taken) await driveMigration(context, id);
  } catch (error) {
    if (!context.stopping.aborted)
      log.error({ migration: id, error: (error as Error).message }, 'driving failed; it is picked up again');
  } finally {
    if (taken) await leaveMigration(redis, id, instance).catch(() => undefined);
  }
}

/** Picks up migrations that nobody drives: those of a controller that died, or that failed for want of Redis. */
export function pickUpOrphans(context: ControllerContext, driving: Set<string>): void {
  let policy = -1;
  const look = async () => {
    // Under another policy a window may be open.
    const looksAtAll = policy !== context.policy.version;
    policy = context.policy.version;
    for await (const record of activeMigrations(context.redis, driving)) {
      const { id } = record;
      if (!driving.has(id) && (looksAtAll || !isPostponed(record, Date.now()))) driveOnce(context, driving, id);
    }
  };
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    const done = () => {
      looking = false;
    };
    look()
      .finally(done)
      .catch((error: Error) => context.log.debug({ error: error.message }, 'looking for orphans'));
  }, scanMs);
  context.stopping.addEventListener('abort', () => clearInterval(timer));
}

/** Starts driving without waiting for the end; once per process and migration. */
export function driveOnce(context: ControllerContext, driving: Set<string>, id: string): Promise<void> {
  if (driving.has(id)) return Promise.resolve();
  driving.add(id);
  return driveWithLease(context, id).finally(() => driving.delete(id));
}
