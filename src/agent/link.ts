import { newBulkKey } from '../bulk/bulk.ts';
import { loadLink, startSink } from '../bulk/load.ts';
import type { Channel } from '../channel/channel.ts';
import type { AgentAddress } from '../migration/commands.ts';
import type { LinkFacts } from '../migration/record.ts';
import { severalStreams } from '../migration/wire.ts';
import { patiently } from '../patience.ts';
import { answerClock } from './answer-clock.ts';
import { measureClocks, roundTripMs } from './clocks.ts';
import type { AgentContext } from './context.ts';
import { bulkProgramOf } from './local-handle.ts';
import { bulkAnswerSchema, clockAnswerSchema, toTargetSchema } from './messages.ts';
import { connectFor } from './switch-connections.ts';

const stepMs = patiently(10_000);
/** Long enough for TCP to find the speed of a link with so short a round trip, or 64 MiB on a fast one. */
const nearProbe = { ms: 150, frames: 256 };
const distantProbe = { ms: 400, frames: 256 };
/** Where the answer comes sooner, one connection's window holds more than the link. */
const distantMs = 1;

/** Measures round trip and throughput to another agent, through the programs and ports that carry the pages. */
export async function measureLink(context: AgentContext, to: AgentAddress): Promise<LinkFacts> {
  const channel = await connectFor(context, to, { op: 'link' });
  try {
    const clocks = await measureClocks(() =>
      channel.request({ op: 'clock' }, clockAnswerSchema, { timeoutMs: stepMs }),
    );
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
