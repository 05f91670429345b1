import type { NodeFacts } from './plan.ts';
import type { Plan } from './record.ts';

/** How the writes of a running container are noted in a move, and why so. */
export interface TrackingChoice {
  /** By our tracker, which both kernels must know; by CRIU, which needs soft-dirty of the source alone; not at all. */
  tracking: Plan['tracking'];
  why: string;
  /** The node that keeps our tracker from being taken. */
  lacking: NodeFacts | null;
}

/** Our tracker where it works, else CRIU's rounds: they freeze for longer, and the restore is whole. */
export function chooseTracking(source: NodeFacts, target: NodeFacts | null): TrackingChoice {
  const lacking = [source, target].find((node) => node !== null && !node.pagesOk) ?? null;
  if (lacking === null) {
    if (target === null) return { tracking: null, why: 'there is no target', lacking };
    return { tracking: 'wp-async', why: 'both kernels note writes asynchronously', lacking };
  }
  const why = `${lacking.name}: ${lacking.pagesReason === '' ? 'our tracker does not work there' : lacking.pagesReason}`;
  if (target === null) return { tracking: null, why, lacking };
  if (source.softDirtyOk) return { tracking: 'soft-dirty', why, lacking };
  return { tracking: null, why: `${why}; ${source.name} has no soft-dirty either`, lacking };
}
