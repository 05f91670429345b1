import { RankshiftError } from '../errors.ts';
import { type CommandName, type CommandPayload, resolveResultSchema } from '../migration/commands.ts';
import type { MigrationRecord, SwitchResult } from '../migration/record.ts';
import { abortSwitch, readContainer } from '../store/containers.ts';
import type { ControllerContext } from './context.ts';

const pauseMs = 500;

type Wait = (reason: string | null) => Promise<unknown>;

/**
 * After an interruption inside a switch: asks both nodes to settle by the commit record, as often as it takes.
 * The source first: its answer closes the switch, so that what the target says after it is final. `result` is what the
 * source measured, where it came to the end of the switch.
 */
export async function settle(
  context: ControllerContext,
  record: MigrationRecord,
  wait: Wait,
): Promise<{ outcome: 'committed' | 'rolled-back'; result: SwitchResult | null }> {
  const { id, container, source, target } = record;
  const payload = { migration: id, container };
  const ask = async (node: string) =>
    resolveResultSchema.parse(await untilDone(context, node, 'resolve', payload, wait));
  const result = source === null ? null : (await ask(source)).result;
  // The source may never have heard of it. Closed for good, so that a late order of a driver before us opens nothing.
  if (record.epoch !== null) await abortSwitch(context.redis, { ...payload, epoch: record.epoch });
  if (target !== null && (await ask(target)).outcome === 'committed') return { outcome: 'committed', result };
  const now = await readContainer(context.redis, container);
  const moved = now !== null && now.owner === target && record.epoch !== null && now.epoch > record.epoch;
  return moved ? { outcome: 'committed', result } : { outcome: 'rolled-back', result: null };
}

/** Removes what a migration prepared on its target. The target refuses by itself where it owns the container. */
export async function settleTarget(
  context: ControllerContext,
  record: Pick<MigrationRecord, 'id' | 'container' | 'target'>,
): Promise<void> {
  if (record.target === null) return;
  await untilDone(
    context,
    record.target,
    'resolve',
    { migration: record.id, container: record.container },
    async () => undefined,
    30_000,
  ).catch(
    // The agent does the same by itself when it comes back (src/agent/recover.ts).
    (error: Error) => context.log.warn({ migration: record.id, error: error.message }, 'the target was not cleared'),
  );
}

/** Sends an idempotent command until the agent has carried it out. */
export async function untilDone<N extends CommandName>(
  context: ControllerContext,
  node: string,
  command: N,
  payload: CommandPayload<N>,
  wait: Wait,
  patience: number = context.config.agentPatienceMs,
): Promise<unknown> {
  const deadline = Date.now() + patience;
  let waiting = false;
  for (;;) {
    try {
      const answer = await context.commands.send(node, command, payload, { timeoutMs: Math.min(60_000, patience) });
      if (waiting) await wait(null);
      return answer;
    } catch (error) {
      const known = RankshiftError.from(error);
      if (context.stopping.aborted) throw error;
      if (Date.now() > deadline) throw known;
      if (!waiting) {
        context.log.warn({ node, command, error: known.message }, 'asking again');
        await wait(`${node}: ${known.message}`).catch(() => undefined);
        waiting = true;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
