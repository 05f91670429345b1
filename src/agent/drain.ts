import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { type Armed, arm } from '../process/armed.ts';
import type { AgentContext } from './context.ts';
import type { LocalHandle } from './local-handle.ts';

const answerSchema = z.object({ drained: z.boolean(), waitedMs: z.number(), pendingBytes: z.number() });

/** Starts what drain needs, before the freeze. */
export function armDrain(context: AgentContext, handle: LocalHandle): Armed {
  return arm(handle.nodeProgram, ['drain', handle.netnsPath, String(context.config.drainMs), '--armed']);
}

/**
 * Lets the kernel empty the send queues of the frozen container (bounded by DrainMs): bytes that are not acknowledged
 * at the dump would wait for a retransmission timer without a sample on the target (docs/field-notes.md, "TCP").
 */
export async function drain(context: AgentContext, armed: Armed): Promise<z.infer<typeof answerSchema>> {
  const result = await armed.fire('\n', context.config.drainMs + 2000);
  if (result.exitCode !== 0) throw new RankshiftError('E_COMMAND', `drain: ${result.stderr.trim()}`);
  return answerSchema.parse(JSON.parse(result.stdout));
}
