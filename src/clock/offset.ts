import { setTimeout as pause } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';

/** One exchange: this side's clock before and after, the other side's clock in between. Nanoseconds. */
export interface ClockSample {
  sentNs: bigint;
  remoteNs: bigint;
  receivedNs: bigint;
}

/** How far another node's clock is ahead of ours. */
export interface ClockOffset {
  /** Remote minus local, nanoseconds. */
  offsetNs: bigint;
  /** The true offset is at most this far away, in either direction. */
  errorNs: bigint;
}

/**
 * The offset by the exchange with the shortest round trip. The remote clock was read at some moment of the exchange, so
 * its middle is wrong by at most half of the round trip, however unequal the two ways are (RFC 5905, 10).
 * For CLOCK_MONOTONIC and CLOCK_REALTIME alike.
 * @throws RankshiftError E_LINK where there is no usable sample: none at all, or a clock that went back in each.
 */
export function bestOffset(samples: readonly ClockSample[]): ClockOffset {
  const usable = samples.filter(({ sentNs, receivedNs }) => receivedNs >= sentNs);
  const [first, ...others] = usable;
  if (first === undefined) {
    throw new RankshiftError('E_LINK', `no usable clock exchange among ${samples.length}`, { retryable: true });
  }
  const best = others.reduce((least, sample) => (roundTrip(sample) < roundTrip(least) ? sample : least), first);
  return {
    offsetNs: best.remoteNs - (best.sentNs + best.receivedNs) / 2n,
    // Rounded up, since the middle was rounded.
    errorNs: (roundTrip(best) + 1n) / 2n,
  };
}

const roundTrip = ({ sentNs, receivedNs }: ClockSample) => receivedNs - sentNs;

export interface MeasureOptions {
  /** Number of exchanges. @defaultValue 40 */
  count?: number;
  /** Time over which they are spread, so that one burst of load does not spoil all. @defaultValue 0 */
  spreadMs?: number;
}

/**
 * Measures an offset by exchanges one after another.
 * @param exchange makes the n-th exchange; it has its own deadline, and its errors end the measurement.
 */
export async function measureOffset(
  exchange: (n: number) => Promise<ClockSample>,
  { count = 40, spreadMs = 0 }: MeasureOptions = {},
): Promise<ClockOffset> {
  const samples: ClockSample[] = [];
  for (let n = 0; n < count; n++) {
    if (n > 0 && spreadMs > 0) await pause(spreadMs / (count - 1));
    samples.push(await exchange(n));
  }
  return bestOffset(samples);
}
