/** Summary of one measured quantity; its unit is that of the values. */
export interface Summary {
  count: number;
  median: number;
  min: number;
  max: number;
  /** Half the distance between the quartiles. */
  spread: number;
}

/** @throws Error without values: a benchmark that measured nothing must not print a table. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error('nothing was measured');
  const sorted = values.toSorted((a, b) => a - b);
  return {
    count: sorted.length,
    median: rounded(quantile(sorted, 0.5)),
    min: rounded(sorted[0] ?? 0),
    max: rounded(sorted.at(-1) ?? 0),
    spread: rounded((quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2),
  };
}

/** Linear between the two nearest values (type 7 of Hyndman and Fan 1996). */
export function quantile(sorted: readonly number[], part: number): number {
  const at = part * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? 0;
  const above = sorted[Math.ceil(at)] ?? below;
  return below + (above - below) * (at - Math.floor(at));
}

/** Microseconds are enough for milliseconds. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** "12.3 ±0.4": median and spread as a table shows them. */
export function show({ median, spread }: Summary, digits = 1): string {
  return `${median.toFixed(digits)} ±${spread.toFixed(digits)}`;
}
