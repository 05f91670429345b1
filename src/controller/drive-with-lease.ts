import { randomUUID } from 'node:crypto';
import { isPostponed } from '../migration/machine.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { drivenByOthers, leaveMigration, takeMigration } from '../store/drivers.ts';
import { activeMigrations, readMigration } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';
import { driveMigration, firstLooks } from './drive.ts';
import { stayAlive } from './stay-alive.ts';

const scanMs = 1000;

/**
 * Drives a migration if no other controller does. That one is alive only keeps two from trying at once; what makes a
 * driver harmless that is taken for dead and is not, is its name in the record.
 * @param written its record, where it was written just now
 */
async function driveWithLease(context: ControllerContext, id: string, written?: MigrationRecord): Promise<void> {
  const { redis, instance, log } = context;
  let taken = false;
  try {
    await stayAlive(context);
    // On the way while it is taken: reading does no harm, whoever drives it.
    const looks = written?.state === 'queued' ? firstLooks(context, written) : null;
    const driver = `${instance}/${randomUUID()}`;
    const record = await takeMigration(redis, written ?? (await readMigration(redis, id)), instance, driver);
    taken = record !== null;
    if (record !== null) await driveMigration(context, record, looks);
  } catch (error) {
    if (!context.stopping.aborted)
      log.error({ migration: id, error: (error as Error).message }, 'driving failed; it is picked up again');
  } finally {
    if (taken) await leaveMigration(redis, id, instance).catch(() => undefined);
  }
}

/** The migrations that this process drives, each once. */
export class Driving {
  readonly #most: number;
  readonly #stopping: AbortSignal;
  readonly #drive: (id: string, written?: MigrationRecord) => Promise<void>;
  readonly #ids = new Set<string>();
  readonly #freed: (() => void)[] = [];

  /** @param drive to its end; never throws */
  constructor(
    context: ControllerContext,
    drive: (id: string, written?: MigrationRecord) => Promise<void> = (id, written) =>
      driveWithLease(context, id, written),
  ) {
    this.#most = context.config.movesAtOnce;
    this.#stopping = context.stopping;
    this.#drive = drive;
  }

  get ids(): ReadonlySet<string> {
    return this.#ids;
  }

  /** Drives one that came through the queue to its end, when there is room (MovesAtOnce). */
  async take(id: string): Promise<void> {
    let waited = false;
    while (!this.#ids.has(id) && !this.#room()) {
      // Who was woken and finds the place taken stays the first.
      await new Promise<void>((resolve) => (waited ? this.#freed.unshift(resolve) : this.#freed.push(resolve)));
      waited = true;
    }
    if (this.#stopping.aborted) return;
    if (this.#ids.has(id)) this.#freed.shift()?.();
    else await this.start(id);
  }

  /** Begins at once with one that was written just now, and queued, where there is room; else its turn comes there. */
  takeNow(record: MigrationRecord): void {
    if (this.#room() && !this.#stopping.aborted) void this.start(record.id, record);
  }

  /** Drives one to its end, room or not; not here where that is under way. @param written as it was written just now */
  async start(id: string, written?: MigrationRecord): Promise<void> {
    if (this.#ids.has(id)) return;
    this.#ids.add(id);
    try {
      await this.#drive(id, written);
    } finally {
      this.#ids.delete(id);
      this.#freed.shift()?.();
    }
  }

  #room(): boolean {
    return this.#ids.size < this.#most;
  }
}

/** Picks up migrations that nobody drives: those of a controller that died, or that failed for want of Redis. */
export function pickUpOrphans(context: ControllerContext, driving: Driving): void {
  let policy = -1;
  const look = async () => {
    // Under another policy a window may be open.
    const looksAtAll = policy !== context.policy.version;
    policy = context.policy.version;
    const found: string[] = [];
    for await (const record of activeMigrations(context.redis, driving.ids)) {
      if (looksAtAll || !isPostponed(record, Date.now())) found.push(record.id);
    }
    const others = await drivenByOthers(context.redis, found, context.instance);
    for (const id of found) if (!others.has(id)) void driving.start(id);
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
