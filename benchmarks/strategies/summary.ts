import type { Strategy } from '../../src/migration/record.ts';
import type { Tool } from '../by-hand/move-by-hand.ts';
import type { Measured } from '../measure/result.ts';
import { rounded, type Summary, summarize } from '../measure/statistics.ts';

const largestSpread = 1.3;
const largestPart = 0.1;
const largestFixedMs = 250;
/** Strategies whose downtime must not grow with the memory. */
const constant: readonly Strategy[] = ['pre-copy', 'post-copy'];

/** One move. Slow-downs are percent of the rate before; null where there were no rounds, or no lines to count. */
export interface Sample {
  strategy: Strategy;
  /** Container stopped on the source until running on the target, by the record. */
  downtimeMs: number;
  /** Longest time without progress of the moved rank, by its own clock: memory that it has to wait for counts too. */
  feltMs: number;
  /** Stall beyond the downtime that the record tells. */
  beyondMs: number;
  totalMs: number;
  slowedInRounds: number | null;
  slowedAfter: number | null;
  leftBytes: number | null;
  steps: Record<string, number>;
}

export interface Size {
  mib: number;
  samples: Sample[];
}

export interface ByHandSize {
  tool: Tool;
  mib: number;
  downtimesMs: number[];
}

export interface StrategySummary {
  mib: number;
  strategy: Strategy;
  downtimeMs: Summary;
  feltMs: Summary;
  beyondMs: Summary;
  totalMs: Summary;
  slowedInRounds: Summary | null;
  slowedAfter: Summary | null;
  leftBytes: Summary | null;
  /** Medians of the spans in the switch, milliseconds. */
  steps: Record<string, number>;
}

export function summarizeSizes(sizes: readonly Size[]): StrategySummary[] {
  return sizes.flatMap(({ mib, samples }) =>
    [...new Set(samples.map(({ strategy }) => strategy))].map((strategy) => {
      const own = samples.filter((sample) => sample.strategy === strategy);
      const some = (values: (number | null)[]) => {
        const known = values.filter((value) => value !== null);
        return known.length === 0 ? null : summarize(known);
      };
      return {
        mib,
        strategy,
        downtimeMs: summarize(own.map(({ downtimeMs }) => downtimeMs)),
        feltMs: summarize(own.map(({ feltMs }) => feltMs)),
        beyondMs: summarize(own.map(({ beyondMs }) => beyondMs)),
        totalMs: summarize(own.map(({ totalMs }) => totalMs)),
        slowedInRounds: some(own.map(({ slowedInRounds }) => slowedInRounds)),
        slowedAfter: some(own.map(({ slowedAfter }) => slowedAfter)),
        leftBytes: some(own.map(({ leftBytes }) => leftBytes)),
        steps: mediansOf(own.map(({ steps }) => steps)),
      };
    }),
  );
}

function mediansOf(all: readonly Record<string, number>[]): Record<string, number> {
  const names = [...new Set(all.flatMap((steps) => Object.keys(steps)))];
  return Object.fromEntries(names.map((name) => [name, summarize(all.flatMap((steps) => steps[name] ?? [])).median]));
}

export function targetsOf(summaries: readonly StrategySummary[], byHand: readonly ByHandSize[]): Measured['targets'] {
  const targets: Measured['targets'] = [];
  for (const strategy of constant) {
    const own = summaries.filter((summary) => summary.strategy === strategy);
    if (own.length === 0) continue;
    const sizes = own.map(({ mib }) => mib).join(', ');
    for (const [what, medians] of [
      ['downtimes', own.map(({ downtimeMs }) => downtimeMs.median)],
      ['times without progress', own.map(({ feltMs }) => feltMs.median)],
    ] as const) {
      const ratio = rounded(Math.max(...medians) / Math.min(...medians));
      targets.push({
        what: `${strategy}: largest of the median ${what} over ${sizes} MiB to the smallest`,
        wanted: `<= ${largestSpread}`,
        measured: ratio.toFixed(2),
        met: ratio <= largestSpread,
      });
    }
    const better = Math.min(...byHand.map(({ downtimesMs }) => summarize(downtimesMs).median));
    const beside = own.find(({ mib }) => mib === byHand[0]?.mib);
    if (beside === undefined) continue;
    const part = beside.feltMs.median / better;
    targets.push({
      what: `${strategy}: median time without progress at ${beside.mib} MiB to that of the better way by hand`,
      wanted: `<= ${largestPart}`,
      measured: part.toFixed(3),
      met: part <= largestPart,
    });
  }
  const fixed = summaries.find(({ strategy }) => strategy === 'pre-copy');
  if (fixed !== undefined) {
    targets.push({
      what: `pre-copy: fixed part, median time without progress at ${fixed.mib} MiB`,
      wanted: `<= ${largestFixedMs} ms`,
      measured: `${fixed.feltMs.median.toFixed(0)} ms`,
      met: fixed.feltMs.median <= largestFixedMs,
    });
  }
  return targets;
}
