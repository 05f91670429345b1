import type { SwitchOrder } from '../migration/commands.ts';
import { within } from '../store/connection.ts';
import type { Gang } from '../store/gangs.ts';
import { dropLease, renewLease } from '../store/leases.ts';
import type { AgentContext } from './context.ts';

/** A source that dies in its freeze keeps the others waiting for so long. */
const leaseMs = 3000;
const renewMs = 1000;
const lookMs = 15;
const questionMs = 1000;
/** After this it freezes all the same: to wait on would cost more than to overlap. */
const patienceMs = 30_000;
/** The peers have been woken by then, and have sent what they owed. */
const afterMs = 60;

/**
 * Waits until no other container of the job is frozen. Two that are frozen at once can each have bytes under way that
 * the other's kernel does not take any more: those wait for a retransmission timer without a sample when both run again,
 * and the job with them (docs/groups.md). Only the length of a stall hangs on it, so whatever fails, the move goes on.
 * @param gang those that freeze with it
 * @param waiting called again and again meanwhile
 * @param signal the move has ended, and with it the wait
 * @returns ends the turn, soon; again is nothing.
 */
export async function freezeTurn(
  { redis, log }: Pick<AgentContext, 'redis' | 'log'>,
  { migration, container }: Pick<SwitchOrder, 'migration' | 'container'>,
  gang: Gang | null,
  { waiting, signal }: { waiting: () => Promise<void>; signal: AbortSignal },
): Promise<() => void> {
  const name = `freeze-${container.split('.')[0]}`;
  // One turn for all that freeze together.
  const holder = gang === null ? migration : gang.group;
  const take = () => within(questionMs, renewLease(redis, name, holder, leaseMs));
  const deadline = performance.now() + patienceMs;
  try {
    while (!signal.aborted && !(await take())) {
      if (performance.now() > deadline) {
        log.warn({ migration }, 'another container of the job is frozen for long: not waited for any more');
        return () => undefined;
      }
      await waiting();
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  } catch (error) {
    log.warn({ migration, error: (error as Error).message }, 'frozen without a turn');
    return () => undefined;
  }
  const timer = setInterval(() => void take().catch(() => undefined), renewMs);
  const drop = () => void within(questionMs, dropLease(redis, name, holder)).catch(() => undefined);
  const end = (ms: number) => {
    clearInterval(timer);
    setTimeout(drop, ms).unref();
  };
  if (signal.aborted) end(0);
  let ended = signal.aborted;
  return () => {
    if (!ended) end(afterMs);
    ended = true;
  };
}
