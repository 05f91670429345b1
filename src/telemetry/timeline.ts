import type { TimelineEntry } from '../migration/record.ts';

/** Unix time in nanoseconds. */
export function epochNs(): bigint {
  return Temporal.Now.instant().epochNanoseconds;
}

/** Milliseconds, with fractions, of a number of nanoseconds. */
export function toMs(ns: bigint): number {
  return Number(ns) / 1e6;
}

/** Collects the points and spans of one move on one node. */
export class Timeline {
  readonly entries: TimelineEntry[] = [];
  readonly #node: string;

  constructor(node: string) {
    this.#node = node;
  }

  mark(name: string, atNs: bigint = epochNs()): bigint {
    this.entries.push({ name, node: this.#node, at: toMs(atNs) });
    return atNs;
  }

  /** Records how long `work` took, also when it fails. */
  async span<T>(name: string, work: () => Promise<T>): Promise<T> {
    const start = epochNs();
    try {
      return await work();
    } finally {
      this.entries.push({ name, node: this.#node, at: toMs(start), ms: round(toMs(epochNs() - start)) });
    }
  }
}

export function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
