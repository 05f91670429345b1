import { RankshiftError } from '../errors.ts';
import type { ContainerFacts, SwitchOrder } from '../migration/commands.ts';
import { within } from '../store/connection.ts';
import { type AbortAnswer, abortSwitch } from '../store/containers.ts';
import type { AgentContext } from './context.ts';
import { recordsAreOurs } from './our-records.ts';

const pauseMs = 100;
/** Until somebody has put Redis right. */
const foreignMs = 3000;
/** One question to Redis; an unanswered one is asked again. */
const questionMs = 3000;
const withoutRecord = 'Redis does not have the record of the container any more';

/**
 * Closes the switch in the commit record, as often as it takes to know the decision. Reading the record would not do: a
 * commit that its sender gave up may still be on its way.
 * @throws only where this agent is told to stop while Redis does not answer.
 */
export async function closeSwitch(
  context: Pick<AgentContext, 'config' | 'redis' | 'log' | 'stopping'>,
  order: Pick<SwitchOrder, 'migration' | 'container' | 'epoch'> & { facts: Pick<ContainerFacts, 'run'> },
): Promise<AbortAnswer> {
  for (;;) {
    try {
      const answer = await within(questionMs, abortSwitch(context.redis, { ...order, run: order.facts.run }));
      if (answer !== 'missing' || (await recordsAreOurs(context))) return answer;
      throw new RankshiftError('E_REDIS', withoutRecord);
    } catch (error) {
      const { message } = error as Error;
      context.log.warn({ migration: order.migration, error: message }, 'the decision is not known yet');
      if (context.stopping.aborted) throw error;
      const foreign = error instanceof RankshiftError && error.message === withoutRecord;
      await new Promise((resolve) => setTimeout(resolve, foreign ? foreignMs : pauseMs));
    }
  }
}
