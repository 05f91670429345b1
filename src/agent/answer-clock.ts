import type { Channel } from '../channel/channel.ts';
import { epochNs } from '../telemetry/timeline.ts';

/** Answers one clock exchange with this node's clocks, as late as possible before the send. */
export function answerClock(channel: Channel): Promise<void> {
  return channel.send({ op: 'clock', monotonicNs: String(process.hrtime.bigint()), realtimeNs: String(epochNs()) });
}
