import { z } from 'zod';
import { type MigrationRecord, strategySchema } from './record.ts';

/** What one finished move teaches about the next. */
export const costSampleSchema = z.object({
  strategy: strategySchema,
  lazy: z.boolean(),
  source: z.string(),
  target: z.string(),
  memoryBytes: z.number(),
  downtimeMs: z.number(),
  /** Of the freeze: the dump, and the sending of pages beside it. */
  dumpMs: z.number(),
  pagesMs: z.number(),
  /** Throughput of the link as the plan had it, and what the stream then carried; null where too little went to say. */
  probedBytesPerSecond: z.number().nullable(),
  carriedBytesPerSecond: z.number().nullable(),
  /** Left behind to come after the freeze. */
  leftBytes: z.number(),
  /** Of the total, what was neither round nor downtime nor waiting for a turn; what was left behind comes in it. */
  aroundMs: z.number(),
});
export type CostSample = z.infer<typeof costSampleSchema>;

/** Fewer bytes say nothing of a link: they fit into its buffers. */
const tellingBytes = 8 * 1_048_576;

/** What a move that ends now teaches; null where the service was interrupted and has not measured it all. */
export function costSample(record: MigrationRecord, endedAt: number): CostSample | null {
  const { plan, result, source, target } = record;
  if (plan === null || result === null || source === null || target === null) return null;
  if (result.downtimeMs === null || result.bytes === null) return null;
  const span = (name: string) => result.timeline.find((entry) => entry.name === name)?.ms ?? 0;
  const rounds = result.copy?.rounds ?? [];
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
  const leftBytes = result.leftBytes ?? 0;
  const frozen = { bytes: result.bytes.pages - sum(rounds.map(({ bytes }) => bytes)) - leftBytes, ms: span('pages') };
  const largest = [...rounds, frozen].toSorted((a, b) => b.bytes - a.bytes)[0] ?? frozen;
  const waitedMs = sum(record.phases.filter(({ name }) => name === 'queued').map(({ ms }) => ms ?? 0));
  const aroundMs = endedAt - record.createdAt - waitedMs - result.downtimeMs - sum(rounds.map(({ ms }) => ms));
  const limited = record.request.bandwidth !== undefined;
  return {
    ...{ strategy: plan.strategy, lazy: plan.lazy, source, target, memoryBytes: plan.memoryBytes },
    ...{ downtimeMs: result.downtimeMs, dumpMs: span('dump'), pagesMs: span('pages') },
    probedBytesPerSecond: plan.link?.bytesPerSecond ?? null,
    carriedBytesPerSecond:
      limited || largest.bytes < tellingBytes || largest.ms <= 0 ? null : (largest.bytes / largest.ms) * 1000,
    ...{ leftBytes, aroundMs: Math.max(0, aroundMs) },
  };
}

/** A move for which an estimate is wanted. */
export type MoveKind = Pick<CostSample, 'strategy' | 'lazy' | 'source' | 'target' | 'probedBytesPerSecond'>;

export interface CostEstimate {
  /** Downtime of a move that has next to no page to send in its freeze, ms. */
  fixedMs: number;
  /** Of it, the time in which pages go for nothing: beside the dump. */
  overlapMs: number;
  /** Preparation, clearing up and the filling in of memory: ms, and ms per byte of memory. */
  aroundMs: number;
  aroundMsPerByte: number;
  /** What a stream carries of what the link was measured to. */
  rateFactor: number;
}

/** So many of the last moves of a kind count: machines and their load change. */
const lately = 15;
/** Between these two nodes alone, where so many moves went there. */
const enough = 5;
/** Links of more different throughput say nothing of each other. */
const alike = 1.6;
/** So many moves over links alike say more than all over others. */
const enoughAlike = 3;

/**
 * Medians over the last moves of the same kind (all moves where there was none of it), newest first; null where there
 * was none at all; where enough of them went over links alike, those only. Time around a move is a line over memory, by the median of all slopes between two moves (Theil 1950,
 * Sen 1968): one move that waited for something else does not bend it.
 */
export function estimateCost(samples: readonly CostSample[], kind: MoveKind): CostEstimate | null {
  const likeIt = [
    samples.filter(({ strategy, lazy }) => strategy === kind.strategy && lazy === kind.lazy),
    samples.filter(({ lazy }) => lazy === kind.lazy),
    samples,
  ].find(({ length }) => length > 0);
  if (likeIt === undefined) return null;
  const overAlike = likeIt.filter((sample) => areAlike(sample.probedBytesPerSecond, kind.probedBytesPerSecond));
  const telling = overAlike.length >= enoughAlike ? overAlike : likeIt;
  const between = telling.filter(({ source, target }) => source === kind.source && target === kind.target);
  const last = (between.length >= enough ? between : telling).slice(0, lately);
  const line = theilSen(last.map((sample) => [sample.memoryBytes, aroundMs(sample, samples)] as const));
  return {
    fixedMs: median(last.map(({ downtimeMs, dumpMs, pagesMs }) => downtimeMs - Math.max(0, pagesMs - dumpMs))),
    overlapMs: median(last.map(({ dumpMs }) => dumpMs)),
    aroundMs: line.at,
    aroundMsPerByte: line.slope,
    rateFactor: rateFactor(samples, kind),
  };
}

/** What was left behind went over the link as all else does there; that is no cost of the move's own. */
function aroundMs(sample: CostSample, samples: readonly CostSample[]): number {
  if (sample.leftBytes === 0) return sample.aroundMs;
  const rate = (sample.probedBytesPerSecond ?? Number.POSITIVE_INFINITY) * rateFactor(samples, sample);
  return Math.max(0, sample.aroundMs - (sample.leftBytes / rate) * 1000);
}

function rateFactor(samples: readonly CostSample[], kind: Pick<MoveKind, 'lazy' | 'probedBytesPerSecond'>): number {
  const factors = samples.flatMap(({ lazy, probedBytesPerSecond: probed, carriedBytesPerSecond: carried }) => {
    if (lazy !== kind.lazy || probed === null || carried === null) return [];
    return areAlike(probed, kind.probedBytesPerSecond) ? [carried / probed] : [];
  });
  return factors.length === 0 ? 1 : median(factors.slice(0, lately));
}

function areAlike(one: number | null, other: number | null): boolean {
  if (one === null || other === null) return false;
  const ratio = one / other;
  return ratio <= alike && ratio >= 1 / alike;
}

/** Line through points, by medians; level where all x are alike, and never falling. */
export function theilSen(points: readonly (readonly [number, number])[]): { slope: number; at: number } {
  const largest = Math.max(...points.map(([x]) => x));
  const slopes = points.flatMap(([x, y], index) =>
    points.slice(index + 1).flatMap(([x2, y2]) => (Math.abs(x2 - x) < 0.2 * largest ? [] : [(y2 - y) / (x2 - x)])),
  );
  const slope = slopes.length === 0 ? 0 : Math.max(0, median(slopes));
  return { slope, at: Math.max(0, median(points.map(([x, y]) => y - slope * x))) };
}

/** The middle of an odd number of values, the mean of the two middle ones else; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
