import { RankshiftError } from '../errors.ts';
import { balance, type Decision } from '../migration/balance.ts';
import type { DecisionRecord } from '../migration/decision.ts';
import { addDecisions } from '../store/decisions.ts';
import { HeldLease } from '../store/leases.ts';
import { type BalanceMemory, balanceInput, balancerName } from './balance-input.ts';
import type { ControllerContext } from './context.ts';
import { RecentMoves } from './recent-moves.ts';
import { submitMigration } from './requests.ts';
import { SlurmLately } from './slurm-lately.ts';

const lookMs = 5000;
/** One balancer at a time. */
const leaseMs = 10_000;
/** What stays as it was is kept again only after so long. */
const repeatMs = 60_000;

const told = new Map<string, { text: string; at: number }>();
let memory: BalanceMemory | null = null;
/** One look at a time in this process; the lease keeps the other controllers away. */
let looking: Promise<unknown> = Promise.resolve();

/** Looks now and then while BalanceMode says so. One look at a time; a failed one is as if it had not been. */
export function watchBalance(context: ControllerContext): void {
  const { config, log, stopping } = context;
  if (config.balanceMode === 'off') return;
  let waiting = false;
  const timer = setInterval(() => {
    if (waiting) return;
    waiting = true;
    balanceOnce(context, { dryRun: config.balanceMode === 'dry-run', hold: true })
      .catch((error: Error) => {
        // Another controller looks, as it should be.
        if (RankshiftError.from(error).code !== 'E_BUSY') log.warn({ error: error.message }, 'balancing');
      })
      .finally(() => {
        waiting = false;
      });
  }, lookMs);
  stopping.addEventListener('abort', () => clearInterval(timer));
}

export interface LookOptions {
  /** Asks for no move. */
  dryRun: boolean;
  /** Only what has been held up for long enough counts. */
  hold: boolean;
}

/**
 * One look: decides, asks for the moves unless it is a dry run, and keeps what is new of its decisions.
 * @throws RankshiftError E_BUSY where another controller looks just now.
 */
export async function balanceOnce(context: ControllerContext, options: LookOptions): Promise<DecisionRecord[]> {
  const look = looking.then(() => lookNow(context, options));
  looking = look.catch(() => undefined);
  return await look;
}

async function lookNow(context: ControllerContext, { dryRun, hold }: LookOptions): Promise<DecisionRecord[]> {
  const { redis } = context;
  const lease = await HeldLease.take(redis, 'balance', leaseMs);
  if (lease === null) {
    throw new RankshiftError('E_BUSY', 'another controller looks just now', { action: 'Try again in a few seconds.' });
  }
  try {
    const input = await balanceInput(context, memoryOf(context), hold);
    if (input === null) return [];
    const records: DecisionRecord[] = [];
    for (const decision of balance(input)) records.push(await carryOut(context, lease, decision, dryRun));
    await addDecisions(redis, records.filter(isNews));
    return records;
  } finally {
    await lease.drop();
  }
}

function memoryOf({ config }: ControllerContext): BalanceMemory {
  memory ??= { moves: new RecentMoves(), slurm: new SlurmLately(config), turns: new Map(), look: 0 };
  return memory;
}

async function carryOut(
  context: ControllerContext,
  lease: HeldLease,
  decision: Decision,
  dryRun: boolean,
): Promise<DecisionRecord> {
  const { container, to } = decision;
  const record = {
    ...decision,
    at: Date.now(),
    mode: dryRun ? ('dry-run' as const) : ('on' as const),
    migration: null,
  };
  if (decision.act === 'stay' || to === null || dryRun) return record;
  await lease.confirm();
  const caller = { uid: 0, name: balancerName, admin: true };
  try {
    const { id } = await submitMigration(context, caller, { container, to });
    context.log.info({ container, to, migration: id, why: decision.why }, 'balancing: a move');
    return { ...record, migration: id };
  } catch (error) {
    return {
      ...record,
      act: 'stay',
      to: null,
      why: `${decision.why}; refused: ${(error as Error).message}`,
      reason: 'refused',
    };
  }
}

/** A move always; a stay where it has another reason than the last time, or that was long ago. */
function isNews({ container, act, reason, to, at, mode }: DecisionRecord): boolean {
  const text = [act, reason, to, mode].join(' ');
  const last = told.get(container);
  if (last !== undefined && last.text === text && at - last.at < repeatMs && (act === 'stay' || mode === 'dry-run'))
    return false;
  told.set(container, { text, at });
  for (const [id, { at: then }] of told) if (at - then > 10 * repeatMs) told.delete(id);
  return true;
}
