/** What one finished stop-and-copy cost. */
export interface CostSample {
  bytes: number;
  downtimeMs: number;
}

export interface CostEstimate {
  /** Part of the downtime that does not depend on memory, ms. */
  fixedMs: number;
  /** Bytes of memory per second of the part that does; null where all samples are of one size. */
  bytesPerSecond: number | null;
}

/**
 * Least squares of downtime = fixed + bytes / rate over the last moves; null where there was none.
 * Where the samples do not determine a rate (one size only, or a slope that is not positive), the median stands as fixed.
 */
export function estimateCost(samples: readonly CostSample[]): CostEstimate | null {
  if (samples.length === 0) return null;
  const meanX = mean(samples.map((sample) => sample.bytes));
  const meanY = mean(samples.map((sample) => sample.downtimeMs));
  const spread = samples.reduce((sum, { bytes }) => sum + (bytes - meanX) ** 2, 0);
  const common = samples.reduce((sum, { bytes, downtimeMs }) => sum + (bytes - meanX) * (downtimeMs - meanY), 0);
  const slope = spread > (0.2 * meanX) ** 2 ? common / spread : 0;
  if (slope <= 0) return { fixedMs: median(samples.map((sample) => sample.downtimeMs)), bytesPerSecond: null };
  return { fixedMs: Math.max(0, meanY - slope * meanX), bytesPerSecond: 1000 / slope };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The middle of an odd number of values, the mean of the two middle ones else; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
