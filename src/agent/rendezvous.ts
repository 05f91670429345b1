import type { SwitchOrder } from '../migration/commands.ts';
import { within } from '../store/connection.ts';
import { type Gang, type GangStep, gangReached, gangReady, gangSize } from '../store/gangs.ts';
import { freeSlot } from '../store/turns.ts';
import type { AgentContext } from './context.ts';

const lookMs = 50;
const questionMs = 1000;
/**
 * Running ones wait longer than a look and a short round take; frozen ones longer than draining takes, and no more; restored
 * ones less than a segment that is lost between them would cost: 1 s, most often 4.
 */
const stepMs: Record<GangStep, number> = { armed: 3000, drained: 250, standing: 1000, released: 150 };
const stepLookMs = 4;

/** The containers of its job that an order's container freezes with; null where it freezes by itself. */
export function gangOf({ gang, container }: Pick<SwitchOrder, 'gang' | 'container'>): Gang | null {
  return gang === null ? null : { group: gang, job: Number(container.split('.')[0]) };
}

/**
 * Waits, with the ranks running, until all of the gang are ready to freeze, one has fallen out, or GangMs have passed.
 * What all know lies in Redis, and each looks for itself: nobody's end keeps another waiting. Only the length of a stall
 * hangs on it, so whatever fails, the move goes on by itself.
 * @param waiting called again and again meanwhile
 * @param signal the move has ended, and with it the wait
 * @returns whether others go with it
 */
export async function untilGangReady(
  { redis, log, config }: Pick<AgentContext, 'redis' | 'log' | 'config'>,
  gang: Gang,
  migration: string,
  { waiting, signal }: { waiting: () => Promise<void>; signal: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + config.gangMs;
  let broken: unknown;
  try {
    if ((await within(questionMs, gangSize(redis, gang))) < 2) return false;
    // Its memory is there: the link is for those that are waited for.
    await within(questionMs, freeSlot(redis, migration));
    for (;;) {
      const late = performance.now() > deadline;
      if (await within(questionMs, gangReady(redis, gang, migration, late))) break;
      if (signal.aborted) return false;
      await waiting().catch((error: unknown) => {
        broken = error;
        throw error;
      });
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  } catch (error) {
    // Its own stream is broken: no reason to freeze at all.
    if (error === broken) throw error;
    log.warn({ migration, error: (error as Error).message }, 'the gang is not waited for');
    return false;
  }
  return true;
}

/**
 * `armed`: nothing is left to do before the freeze; waits a little for those that are as far in a moment, so that none is
 * frozen longer than its own part takes. `drained`: frozen, with empty send queues; waits a moment until the others are
 * too, for held before that, a container would acknowledge nothing that they have sent, and they could not drain.
 * `standing`: restored and committed, still held; waits with its ranks stopped until the others that are held stand too. What
 * it sent to one that is held would be lost, and a restored socket has no round trip to go by: the kernel (tcp_metrics.c)
 * repeats the last segment after 1 s and the others 3 s later. `released`: its port is open, and its ranks run when the
 * others' are; not longer than it takes, for were CRIU to die now, what its sockets acknowledge would be lost.
 * @returns whether all are as far.
 */
export async function untilGangReached(
  { redis, log }: Pick<AgentContext, 'redis' | 'log'>,
  gang: Gang,
  migration: string,
  step: GangStep,
): Promise<boolean> {
  const deadline = performance.now() + stepMs[step];
  try {
    while (performance.now() < deadline) {
      const leftMs = deadline - performance.now();
      if ((await within(leftMs, gangReached(redis, gang, migration, step))) === 0) return true;
      await new Promise((resolve) => setTimeout(resolve, stepLookMs));
    }
    log.warn({ migration, step }, 'the gang was not waited for any longer');
  } catch (error) {
    log.warn({ migration, step, error: (error as Error).message }, 'the gang is not waited for');
  }
  return false;
}
