import type { SwitchOrder } from '../migration/commands.ts';
import { within } from '../store/connection.ts';
import { type AbortAnswer, abortSwitch } from '../store/containers.ts';
import type { AgentContext } from './context.ts';

const pauseMs = 100;
/** One question to Redis; an unanswered one is asked again. */
const questionMs = 3000;

/**
 * Closes the switch in the commit record, as often as it takes to know the decision. Reading the record would not do: a
 * commit that its sender gave up may still be on its way.
 * @throws only where this agent is told to stop while Redis does not answer.
 */
export async function closeSwitch(
  context: AgentContext,
  order: Pick<SwitchOrder, 'migration' | 'container' | 'epoch'>,
): Promise<AbortAnswer> {
  for (;;) {
    try {
      return await within(questionMs, abortSwitch(context.redis, order));
    } catch (error) {
      const { message } = error as Error;
      context.log.warn({ migration: order.migration, error: message }, 'the decision is not known yet');
      if (context.stopping.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
