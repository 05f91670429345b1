import { newBulkKey } from '../bulk/bulk.ts';
import { loadLink, startSink } from '../bulk/load.ts';
import type { Channel } from '../channel/channel.ts';
import type { AgentAddress } from '../migration/commands.ts';
import type { LinkFacts } from '../migration/record.ts';
import { severalStreams } from '../migration/wire.ts';
import { patiently } from '../patience.ts';
import { answerClock } from './answer-clock.ts';
import { clockExchange, measureClocks, roundTripMs } from './clocks.ts';
import type { AgentContext } from './context.ts';
import { bulkProgramOf } from './local-handle.ts';
import { bulkAnswerSchema, toTargetSchema } from './messages.ts';
import { connectFor } from './switch-connections.ts';

/** For a round trip; clocks that have to be right take more. */
const exchanges = 16;
const stepMs = patiently(10_000);
/** Long enough for TCP to find the speed of a link with so short a round trip, or 64 MiB on a fast one. */
const nearProbe = { ms: 150, frames: 256 };
const distantProbe = { ms: 400, frames: 256 };
/** Where the answer comes sooner, one connection's window holds more than the link. */
const distantMs = 1;

/** While memory leaves this node, a measurement so old says more than a new one would. */
const keptMs = 60_000;

/**
 * Round trip and throughput to another agent: measured now, but for when a copy leaves this node: a probe would take from
 * it and see what it leaves. Then what was last measured to there holds.
 */
export async function linkTo(context: AgentContext, to: AgentAddress): Promise<LinkFacts> {
  const known = context.links.get(to.address);
  if (known !== undefined && context.copies.activeCount > 0 && performance.now() - known.at < keptMs)
    return known.facts;
  const facts = await measureLink(context, to);
  // What was measured beside a copy is no measure for others.
  if (context.copies.activeCount === 0) context.links.set(to.address, { facts, at: performance.now() });
  return facts;
}

/** Measures through the programs and ports that carry the pages. */
async function measureLink(context: AgentContext, to: AgentAddress): Promise<LinkFacts> {
  const channel = await connectFor(context, to, { op: 'link' });
  try {
    const clocks = await measureClocks(clockExchange(channel, stepMs), exchanges);
    const roundTrip = roundTripMs(clocks);
    const probe = roundTrip < distantMs ? nearProbe : distantProbe;
    const load = async (streams: number) => {
      const answer = channel.request({ op: 'load', source: context.address }, bulkAnswerSchema, { timeoutMs: stepMs });
      const { port, key } = await answer;
      const wire = { compression: 'none', streams } as const;
      return await loadLink({ program: bulkProgramOf(context.config), address: to.address, port, key, wire }, probe);
    };
    const bytesPerSecond = await load(1);
    const severalBytesPerSecond = roundTrip < distantMs ? null : await load(severalStreams);
    return { roundTripMs: roundTrip, bytesPerSecond, severalBytesPerSecond };
  } finally {
    channel.destroy();
  }
}

/** The other side of measureLink; ends when the channel does. */
export async function answerLink({ config, address }: AgentContext, channel: Channel): Promise<void> {
  for (;;) {
    const message = await channel.next(toTargetSchema, { timeoutMs: 4 * stepMs });
    if (message.op === 'clock') await answerClock(channel);
    if (message.op === 'load') {
      const key = newBulkKey();
      const options = {
        program: bulkProgramOf(config),
        address,
        ports: config.pagesPorts,
        source: message.source,
        key,
      };
      const sink = await startSink(options);
      void channel.closed.then(() => sink.drop());
      await channel.send({ op: 'bulk', port: sink.port, key });
    }
  }
}
