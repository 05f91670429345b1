import type { AgentAddress } from '../migration/commands.ts';
import { patiently } from '../patience.ts';
import type { AgentContext } from './context.ts';
import { clockAnswerSchema } from './messages.ts';
import { connectFor } from './switch-connections.ts';

const exchanges = 3;
const stepMs = patiently(2000);

/** Shortest round trip to each of the agents, ms; null where one does not answer. */
export async function distances(context: AgentContext, to: readonly AgentAddress[]): Promise<(number | null)[]> {
  return Promise.all(to.map((address) => distance(context, address).catch(() => null)));
}

async function distance(context: AgentContext, to: AgentAddress): Promise<number> {
  const channel = await connectFor(context, to, { op: 'link' });
  try {
    let least = Number.POSITIVE_INFINITY;
    for (let n = 0; n < exchanges; n++) {
      const start = performance.now();
      await channel.request({ op: 'clock' }, clockAnswerSchema, { timeoutMs: stepMs });
      least = Math.min(least, performance.now() - start);
    }
    return least;
  } finally {
    channel.destroy();
  }
}
