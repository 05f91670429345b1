import type { Channel } from '../channel/channel.ts';
import { type ContainerClock, restoredOffset } from '../clock/continuity.ts';
import { bestOffset, type ClockOffset, type ClockSample } from '../clock/offset.ts';
import type { ClockPolicy, ClockResult } from '../migration/record.ts';
import { epochNs, round, toMs } from '../telemetry/timeline.ts';
import { clockAnswerSchema } from './messages.ts';

/** Offsets of another node's clocks against ours (theirs - ours). */
export interface SwitchClocks {
  monotonic: ClockOffset;
  realtime: ClockOffset;
}

/** Exchanges are cheap; the best one counts. */
const exchangesOfSwitch = 80;
/** Over a long link one is not waited for before the next goes out: ms between them. */
const spacingMs = 5;
/** What the ranks write meanwhile goes in the freeze: after so long ten are enough, ms. */
const longMs = 500;
const leastExchanges = 10;

type Answer = { monotonicNs: string; realtimeNs: string };

/** Asks for the other side's clocks over a channel that is used for nothing else meanwhile; several may be under way. */
export function clockExchange(channel: Channel, timeoutMs: number): () => Promise<Answer> {
  return async () => {
    const answer = channel.next(clockAnswerSchema, { timeoutMs });
    answer.catch(() => undefined);
    await channel.send({ op: 'clock' });
    return await answer;
  };
}

/**
 * Measures both clocks of the other side by exchanges over an open channel, one after another over a short link, several
 * at a time over a long one.
 * @param exchange may be called again before it has answered.
 * @param exchanges most of them; after half a second ten are enough.
 * @throws RankshiftError of the first exchange that failed.
 */
export async function measureClocks(
  exchange: () => Promise<Answer>,
  exchanges: number = exchangesOfSwitch,
): Promise<SwitchClocks> {
  const samples: Promise<Record<'monotonic' | 'realtime', ClockSample>>[] = [];
  const sample = async () => {
    const sentNs = process.hrtime.bigint();
    const sentRealNs = epochNs();
    const remote = await exchange();
    const receivedRealNs = epochNs();
    const receivedNs = process.hrtime.bigint();
    return {
      monotonic: { sentNs, remoteNs: BigInt(remote.monotonicNs), receivedNs },
      realtime: { sentNs: sentRealNs, remoteNs: BigInt(remote.realtimeNs), receivedNs: receivedRealNs },
    };
  };
  const started = performance.now();
  while (samples.length < exchanges) {
    if (samples.length >= leastExchanges && performance.now() - started > longMs) break;
    const one = sample();
    samples.push(one);
    await within(spacingMs, one);
  }
  const made = await Promise.all(samples);
  return {
    monotonic: bestOffset(made.map(({ monotonic }) => monotonic)),
    realtime: bestOffset(made.map(({ realtime }) => realtime)),
  };
}

/** Until it has come, or the time is over. @throws what it fails with until then; later failures are seen elsewhere. */
async function within(ms: number, wanted: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  wanted.catch(() => undefined);
  await Promise.race([wanted, late]).finally(() => clearTimeout(timer));
}

/** The round trip of the best exchange, milliseconds. */
export function roundTripMs(clocks: SwitchClocks): number {
  return round(2 * toMs(clocks.monotonic.errorNs));
}

export interface NamespaceOffset {
  monotonicNs: bigint;
  boottimeNs: bigint;
}

/** Offset of the time namespace on the target, against the target's clocks, under a policy. */
export function namespaceOffset(
  policy: ClockPolicy,
  container: ContainerClock,
  clocks: SwitchClocks,
  frozenAtNs: bigint,
): NamespaceOffset {
  return restoredOffset({
    policy,
    container,
    nodeOffset: clocks.monotonic,
    frozenAtNs,
    nowNs: process.hrtime.bigint(),
  });
}

export function describeClocks(
  policy: ClockPolicy,
  container: ContainerClock,
  clocks: SwitchClocks,
  offset: NamespaceOffset,
): ClockResult {
  // Left alone, the container would read the target's clock plus its old offset.
  const uncorrectedNs = offset.monotonicNs - container.monotonicNs;
  return {
    policy,
    nodeOffsetNs: String(clocks.monotonic.offsetNs),
    errorBoundNs: String(clocks.monotonic.errorNs),
    namespaceOffsetNs: String(offset.monotonicNs),
    correctedMs: round(toMs(uncorrectedNs)),
  };
}
