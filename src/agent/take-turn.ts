import type { SwitchOrder } from '../migration/commands.ts';
import type { Gang } from '../store/gangs.ts';
import type { AgentContext } from './context.ts';
import { freezeTurn } from './freeze-turn.ts';
import { gangOf, untilGangReached, untilGangReady } from './rendezvous.ts';

/** After so long a wait for others what was got ready for the freeze is out of date. */
const oldMs = 5000;
/** What was written in so long may go in the freeze; of one that waits for its gang, perhaps for minutes, later. */
const staleMs = { gang: 1000, turn: 300, now: 100 };

export interface TurnSteps {
  /** Sends what was written meanwhile, where the last time is longer ago than that. */
  sendWritten: (staleMs: number) => Promise<void>;
  /** Looks again at what grows old: clocks, files. */
  refresh: () => Promise<void>;
  /** The turn is ours; `end` ends it, whatever happens next. */
  begun: (end: () => void) => void;
  /** Those who have to be told are known now. */
  tell: () => Promise<void>;
  /** The move has ended. */
  signal: AbortSignal;
}

/**
 * Waits until a container may freeze: together with its gang, when all of them are ready, or when nothing else of its job is
 * frozen.
 * @returns those that freeze with it
 */
export async function takeTurn(
  context: AgentContext,
  order: SwitchOrder,
  { sendWritten, refresh, begun, tell, signal }: TurnSteps,
): Promise<Gang | null> {
  const since = performance.now();
  const wanted = gangOf(order);
  const waiting = () => sendWritten(staleMs.gang);
  const together = wanted !== null && (await untilGangReady(context, wanted, order.migration, { waiting, signal }));
  const gang = together ? wanted : null;
  if (performance.now() - since > oldMs) await refresh();
  if (gang !== null) await sendWritten(staleMs.now);
  begun(await freezeTurn(context, order, gang, { waiting: () => sendWritten(staleMs.turn), signal }));
  await tell();
  if (gang !== null) await untilGangReached(context, gang, order.migration, 'armed');
  return gang;
}
