import { table } from '../../src/cli/table.ts';
import type { Plot } from '../measure/plot.ts';
import { type Summary, show, summarize } from '../measure/statistics.ts';
import type { ByHandSize, StrategySummary } from './summary.ts';

export function printSizes(summaries: readonly StrategySummary[], byHand: readonly ByHandSize[]): void {
  const header = [
    'RANK',
    'MOVED BY',
    'DOWNTIME ms',
    'FELT ms',
    'MIN',
    'MAX',
    'BEYOND ms',
    'TOTAL ms',
    'SLOWED IN ROUNDS %',
    'AFTER %',
    'LEFT MiB',
  ];
  const percent = (summary: Summary | null) => (summary === null ? '-' : show(summary, 0));
  const rows = summaries.map((row, index) => [
    summaries[index - 1]?.mib === row.mib ? '' : `${row.mib} MiB`,
    row.strategy,
    show(row.downtimeMs, 0),
    show(row.feltMs, 0),
    row.feltMs.min.toFixed(0),
    row.feltMs.max.toFixed(0),
    show(row.beyondMs, 0),
    show(row.totalMs, 0),
    percent(row.slowedInRounds),
    percent(row.slowedAfter),
    row.leftBytes === null ? '-' : (row.leftBytes.median / 2 ** 20).toFixed(1),
  ]);
  for (const { tool, mib, downtimesMs } of byHand) {
    const summary = summarize(downtimesMs);
    const extremes = [summary.min.toFixed(0), summary.max.toFixed(0)];
    rows.push([`${mib} MiB`, `${tool}, by hand`, '', show(summary, 0), ...extremes, '', '', '', '', '']);
  }
  console.log(table(header, rows));
}

/** Where the milliseconds of the freeze go: medians of all spans, by size. */
export function printPhases(summaries: readonly StrategySummary[]): void {
  for (const strategy of new Set(summaries.map((summary) => summary.strategy))) {
    const own = summaries.filter((summary) => summary.strategy === strategy);
    const names = [...new Set(own.flatMap(({ steps }) => Object.keys(steps)))];
    const rows = names.map((name) => [name, ...own.map(({ steps }) => steps[name]?.toFixed(1) ?? '-')]);
    console.log(table([`${strategy}: SPAN, ms`, ...own.map(({ mib }) => `${mib} MiB`)], rows));
  }
}

export function plotOf(summaries: readonly StrategySummary[], byHand: readonly ByHandSize[]): Plot {
  const names = [...new Set(summaries.map(({ strategy }) => strategy))];
  const pointsOf = (strategy: string, pick: (row: StrategySummary) => Summary | null) =>
    summaries.flatMap((row) => {
      const summary = row.strategy === strategy ? pick(row) : null;
      return summary === null ? [] : [{ x: row.mib, y: summary.median, low: summary.min, high: summary.max }];
    });
  return {
    title: 'Downtime by memory of the rank and strategy',
    panels: [
      {
        title: 'rank that writes 1 % of its memory per second',
        kind: 'lines',
        x: { label: 'memory, MiB', log: true },
        y: { label: 'downtime, ms', log: true },
        series: [
          ...names.map((name) => ({ name, points: pointsOf(name, ({ downtimeMs }) => downtimeMs) })),
          ...names.map((name) => ({ name: `${name}, felt`, points: pointsOf(name, ({ feltMs }) => feltMs) })),
          ...byHand.map(({ tool, mib, downtimesMs }) => {
            const { median, min, max } = summarize(downtimesMs);
            return { name: `${tool}, by hand`, points: [{ x: mib, y: median, low: min, high: max }] };
          }),
        ],
      },
      {
        title: 'the second after the move',
        kind: 'lines',
        x: { label: 'memory, MiB', log: true },
        y: { label: 'work missing, %' },
        series: names.map((name) => ({ name, points: pointsOf(name, ({ slowedAfter }) => slowedAfter) })),
      },
    ],
  };
}
