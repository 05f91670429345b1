import type { ClockOffset } from './offset.ts';

/** Offsets of a container's clocks against its node's (time_namespaces(7)), nanoseconds. */
export interface ContainerClock {
  monotonicNs: bigint;
  boottimeNs: bigint;
}

export interface RestoredOffsetInput {
  /** `continuous`: the clock runs on as if nothing had happened; `frozen`: it stood still from the freeze to now. */
  policy: 'continuous' | 'frozen';
  /** The container's clocks against its source node's. */
  container: ContainerClock;
  /** CLOCK_MONOTONIC of the target node minus that of the source node. */
  nodeOffset: ClockOffset;
  /** The same for CLOCK_BOOTTIME. @defaultValue nodeOffset, which is right unless a node was suspended */
  boottimeOffset?: ClockOffset;
  /** Source node's CLOCK_MONOTONIC at the freeze; only for `frozen`. */
  frozenAtNs: bigint;
  /** Source node's CLOCK_MONOTONIC at which the container is taken to run on; only for `frozen`. */
  nowNs: bigint;
}

/** What the time namespace on the target gets, and how far it may be off. */
export interface RestoredOffset extends ContainerClock {
  errorNs: bigint;
}

/**
 * Offsets of the time namespace on the target, against the target node's clocks.
 *
 * `continuous`: the container read `source + S`, and must read `target + X` at the same moment; with `M = target - source`,
 * `X = S - M`. It does not depend on when the restore happens, so it can be made at any time.
 * `frozen`: the same, less the time from the freeze to now.
 * The boot clock may be wrong by the same error; each move adds the error of its own measurement and no other.
 */
export function restoredOffset(input: RestoredOffsetInput): RestoredOffset {
  const { policy, container, nodeOffset, boottimeOffset = nodeOffset, frozenAtNs, nowNs } = input;
  const hiddenNs = policy === 'frozen' ? nowNs - frozenAtNs : 0n;
  return {
    monotonicNs: container.monotonicNs - nodeOffset.offsetNs - hiddenNs,
    boottimeNs: container.boottimeNs - boottimeOffset.offsetNs - hiddenNs,
    errorNs: larger(nodeOffset.errorNs, boottimeOffset.errorNs),
  };
}

function larger(a: bigint, b: bigint): bigint {
  // Math.max takes no bigint.
  if (a > b) return a;
  return b;
}
