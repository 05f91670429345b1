import { RankshiftError } from '../errors.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import { within } from '../store/connection.ts';
import { switchIsOpen } from '../store/containers.ts';
import type { AgentContext } from './context.ts';

/** Whoever calls a move off waits for this, and a frozen container too. */
const lookMs = 200;
const questionMs = 2000;

/**
 * Looks whether the switch was called off, until `signal`: tells it once. A commit is not told: that is the target's to
 * say. While Redis does not answer, the switch goes on.
 */
export async function watchSwitch(
  { redis }: AgentContext,
  { container, migration }: Pick<SwitchOrder, 'container' | 'migration'>,
  signal: AbortSignal,
  calledOff: (error: RankshiftError) => void,
): Promise<void> {
  while (!signal.aborted) {
    const state = await within(questionMs, switchIsOpen(redis, container, migration)).catch(() => 'open' as const);
    if (state === 'committed' || signal.aborted) return;
    if (state === 'closed') {
      calledOff(new RankshiftError('E_CANCELLED', `the switch of ${container} was closed`));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs).unref());
  }
}
