import { setTimeout as sleep } from 'node:timers/promises';
import { table } from '../src/cli/table.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import type { Plot } from './measure/plot.ts';
import { type Summary, show, summarize } from './measure/statistics.ts';
import { Tracker, Writer } from './tracker/subject.ts';

const targetPercent = 5;
const targetStopUs = 5000;
/** A word in so many of the pages is written per second, at random, and computed in between; null: nothing but writes. */
const loads = [
  { name: '1 % of its pages per second', percent: 1, deciding: false },
  { name: '10 % of its pages per second', percent: 10, deciding: true },
  { name: 'as fast as it can', percent: null, deciding: false },
] as const;

/** A round of a move takes as long as its bytes take: one each second is usual, one each 100 ms means a small rank. */
const states = [
  { name: 'armed', deciding: true, work: (_: Tracker, ms: number) => sleep(ms) },
  { name: 'looks each 1 s', deciding: true, work: (tracker: Tracker, ms: number) => tracker.lookEvery(1000, ms) },
  { name: 'looks each 100 ms', deciding: true, work: (tracker: Tracker, ms: number) => tracker.lookEvery(100, ms) },
  { name: 'rounds each 1 s', deciding: false, work: (tracker: Tracker, ms: number) => tracker.roundEvery(1000, ms) },
  { name: 'rounds each 100 ms', deciding: false, work: (tracker: Tracker, ms: number) => tracker.roundEvery(100, ms) },
] as const;
const letGo = 'let go again';

interface LoadResult {
  load: string;
  deciding: boolean;
  writesPerSecond: Summary;
  /** Writes, and the computing between them, that were not made, percent of those in the free time before and after. */
  costPercent: Record<string, Summary>;
}

/** What the tracker of written pages costs a program with random writes over its memory. */
export const tracker: Benchmark = {
  about: 'what tracking of written pages costs a program with random writes over its memory',
  async measure(_cluster, options) {
    const mib = options.quick ? 64 : 256;
    const results: LoadResult[] = [];
    const stopsUs: number[] = [];
    for (const load of loads) results.push(await measureLoad(load, mib, options, stopsUs));
    print(results);
    const stop = summarize(stopsUs);
    return {
      targets: [
        ...results
          .filter(({ deciding }) => deciding)
          .flatMap(({ load, costPercent }) =>
            [...states.filter(({ deciding }) => deciding).map(({ name }) => name), letGo].map((name) => ({
              what: `${mib} MiB, ${load}: work lost while ${name}, median`,
              wanted: `< ${targetPercent} %`,
              measured: `${show(costPercent[name] ?? stop)} %`,
              met: (costPercent[name]?.median ?? Number.NaN) < targetPercent,
            })),
          ),
        {
          what: `longest stop of the program, of ${stop.count} trackers`,
          wanted: `<= ${targetStopUs} us`,
          measured: `${stop.max.toFixed(0)} us, median ${stop.median.toFixed(0)}`,
          met: stop.max <= targetStopUs,
        },
      ],
      notes: [
        'Each time between two in which nothing tracks, against the mean of these; `look`: all pages are protected anew and ' +
          'counted after so long; `round`: what was written is read and sent as well, into the void.',
        'The first write to a page after each look or round costs a page fault: what is lost depends on how many pages are ' +
          'written between two, and a program that does nothing but write all of its memory at random is slowed down by as much.',
        'That a killed tracker leaves its program unharmed is tested: src/pages/pages.test.ts.',
      ],
      data: { mib, results, stopsUs: stop },
      plot: plotOf(results),
    };
  },
};

async function measureLoad(
  { name: load, percent, deciding }: (typeof loads)[number],
  mib: number,
  { rounds, quick, say }: BenchmarkOptions,
  stopsUs: number[],
): Promise<LoadResult> {
  const windowMs = quick ? 1100 : 2200;
  const count = rounds ?? (quick ? 2 : 7);
  const costs = new Map<string, number[]>([...states.map(({ name }) => name), letGo].map((name) => [name, []]));
  const free: number[] = [];
  const pauseNs = percent === null ? 0 : 1e9 / ((mib * 256 * percent) / 100);
  const writer = await Writer.start(mib, Math.round(pauseNs));
  try {
    const freeRate = () => writer.rateDuring(() => sleep(windowMs));
    for (let round = 1; round <= count; round++) {
      let before = await freeRate();
      for (const { name, work } of states) {
        const armed = await Tracker.arm(writer);
        const rate = await writer.rateDuring(() => work(armed, windowMs));
        await armed.disarm();
        stopsUs.push(armed.longestStopUs);
        const after = await freeRate();
        costs.get(name)?.push((1 - (2 * rate) / (before + after)) * 100);
        costs.get(letGo)?.push((1 - after / before) * 100);
        free.push(after);
        before = after;
      }
      say(`${load}: ${round} of ${count}`);
    }
  } finally {
    await writer.end();
  }
  const costPercent = Object.fromEntries([...costs].map(([name, values]) => [name, summarize(values)]));
  return { load, deciding, writesPerSecond: summarize(free), costPercent };
}

function print(results: readonly LoadResult[]): void {
  const rows = results.flatMap(({ load, writesPerSecond, costPercent }) =>
    Object.entries(costPercent).map(([name, cost], index) => [
      index === 0 ? load : '',
      index === 0 ? writesPerSecond.median.toPrecision(3) : '',
      name,
      show(cost),
      cost.min.toFixed(1),
      cost.max.toFixed(1),
    ]),
  );
  console.log(table(['PROGRAM', 'WRITES/s', 'TRACKER', 'COST %', 'MIN', 'MAX'], rows));
}

function plotOf(results: readonly LoadResult[]): Plot {
  return {
    title: 'What tracking of written pages costs',
    panels: [
      {
        kind: 'bars',
        x: { label: '' },
        y: { label: 'work lost, %' },
        limits: [{ name: `target ${targetPercent} %`, y: targetPercent }],
        series: results.map(({ load, costPercent }) => ({
          name: load,
          points: Object.entries(costPercent).map(([x, { median, min, max }]) => ({
            x,
            y: median,
            low: min,
            high: max,
          })),
        })),
      },
    ],
  };
}
