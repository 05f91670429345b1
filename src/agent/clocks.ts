import { type ContainerClock, restoredOffset } from '../clock/continuity.ts';
import { bestOffset, type ClockOffset } from '../clock/offset.ts';
import type { ClockPolicy, ClockResult } from '../migration/record.ts';
import { epochNs, round, toMs } from '../telemetry/timeline.ts';

/** Offsets of another node's clocks against ours (theirs - ours). */
export interface SwitchClocks {
  monotonic: ClockOffset;
  realtime: ClockOffset;
}

/** Exchanges are cheap (one round trip each); the best one counts. */
const exchangesOfSwitch = 80;
/** Over a long link they are not, and what the ranks write meanwhile goes in the freeze: ms, but for the least of them. */
const exchangesMs = 500;
const leastExchanges = 10;

/**
 * Measures both clocks of the other side by exchanges over an open channel.
 * @param exchanges most of them; after half a second ten are enough.
 */
export async function measureClocks(
  exchange: () => Promise<{ monotonicNs: string; realtimeNs: string }>,
  exchanges: number = exchangesOfSwitch,
): Promise<SwitchClocks> {
  const monotonic = [];
  const realtime = [];
  const started = performance.now();
  for (let i = 0; i < exchanges; i++) {
    if (i >= leastExchanges && performance.now() - started > exchangesMs) break;
    const sentNs = process.hrtime.bigint();
    const sentRealNs = epochNs();
    const remote = await exchange();
    const receivedRealNs = epochNs();
    const receivedNs = process.hrtime.bigint();
    monotonic.push({ sentNs, remoteNs: BigInt(remote.monotonicNs), receivedNs });
    realtime.push({ sentNs: sentRealNs, remoteNs: BigInt(remote.realtimeNs), receivedNs: receivedRealNs });
  }
  return { monotonic: bestOffset(monotonic), realtime: bestOffset(realtime) };
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
