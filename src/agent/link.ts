import { Writable } from 'node:stream';
import type { Channel } from '../channel/channel.ts';
import type { AgentAddress } from '../migration/commands.ts';
import type { LinkFacts } from '../migration/record.ts';
import { answerClock } from './answer-clock.ts';
import { measureClocks, roundTripMs } from './clocks.ts';
import type { AgentContext } from './context.ts';
import { clockAnswerSchema, loadAnswerSchema, toTargetSchema } from './messages.ts';
import { connectFor } from './switch-connections.ts';

const probeBytes = 16 * 1_048_576;
const stepMs = 10_000;

/** Measures round trip and throughput to another agent, over the same kind of channel as the pages take. */
export async function measureLink(context: AgentContext, to: AgentAddress): Promise<LinkFacts> {
  const channel = await connectFor(context, to, { op: 'link' });
  try {
    const clocks = await measureClocks(() =>
      channel.request({ op: 'clock' }, clockAnswerSchema, { timeoutMs: stepMs }),
    );
    await channel.send({ op: 'load' });
    const start = performance.now();
    const chunk = Buffer.alloc(1_048_576);
    for (let sent = 0; sent < probeBytes; sent += chunk.length) await channel.sendBytes(chunk);
    await channel.sendEnd(probeBytes);
    await channel.next(loadAnswerSchema, { timeoutMs: stepMs });
    return { roundTripMs: roundTripMs(clocks), bytesPerSecond: (probeBytes / (performance.now() - start)) * 1000 };
  } finally {
    channel.destroy();
  }
}

/** The other side of measureLink; ends when the channel does. */
export async function answerLink(channel: Channel): Promise<void> {
  for (;;) {
    const message = await channel.next(toTargetSchema, { timeoutMs: stepMs });
    if (message.op === 'clock') await answerClock(channel);
    if (message.op === 'load') {
      await channel.pipeOut(new Writable({ write: (_chunk, _encoding, done) => done() }));
      await channel.send({ op: 'loaded' });
    }
  }
}
