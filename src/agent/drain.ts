import { z } from 'zod';
import { run } from '../process/run.ts';
import type { AgentContext } from './context.ts';
import type { LocalHandle } from './local-handle.ts';

const answerSchema = z.object({ drained: z.boolean(), waitedMs: z.number(), pendingBytes: z.number() });

/**
 * Lets the kernel empty the send queues of the frozen container (bounded by DrainMs): bytes that are not acknowledged
 * at the dump would wait for a retransmission timer without a sample on the target (docs/field-notes.md, "TCP").
 */
export async function drain(context: AgentContext, handle: LocalHandle): Promise<z.infer<typeof answerSchema>> {
  const { drainMs } = context.config;
  const result = await run(handle.nodeProgram, ['drain', handle.netnsPath, String(drainMs)], {
    timeoutMs: drainMs + 2000,
  });
  return answerSchema.parse(JSON.parse(result.stdout));
}
