import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submitRun } from '../mpi-tests/support/job.ts';
import { move } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import type { MigrationRecord, Strategy } from '../src/migration/record.ts';
import { limitLink } from '../src/testbed/index.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { finish } from './cluster/finish.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import type { Plot } from './measure/plot.ts';
import { quantile, rounded } from './measure/statistics.ts';

const targets = { median: 15, worst: 35 };
const strategies: Strategy[] = ['pre-copy', 'stop-and-copy', 'post-copy'];
const kinds = ['downtime', 'total'] as const;
type Kind = (typeof kinds)[number];

interface Point {
  mib: number;
  dirtyPercent: number;
  /** As of tc(8); null: no limit. */
  rate: string | null;
  strategy: Strategy;
  predicted: Record<Kind, number>;
  measured: Record<Kind, number>;
  errorPercent: Record<Kind, number>;
}

/** What a plan predicts beside what the move then takes, over a grid. */
export const prediction: Benchmark = {
  about: 'predicted downtime and total time beside the measured, by memory, writes, bandwidth and strategy',
  stateSize: '4g',
  async measure(cluster, options) {
    const { quick } = options;
    const points: Point[] = [];
    for (const mib of quick ? [32, 128] : [32, 128, 512])
      for (const dirtyPercent of quick ? [1, 50] : [0, 1, 10, 50])
        points.push(...(await measureRank(cluster, mib, dirtyPercent, options)));
    const errors = (kind: Kind) => points.map(({ errorPercent }) => errorPercent[kind]).toSorted((a, b) => a - b);
    const summary = kinds.map((kind) => ({
      kind,
      median: rounded(quantile(errors(kind), 0.5)),
      p90: rounded(quantile(errors(kind), 0.9)),
    }));
    print(points, summary);
    return {
      targets: summary.flatMap(({ kind, median, p90 }) => [
        {
          what: `error of the predicted ${kind} over ${points.length} moves, median`,
          wanted: `<= ${targets.median} %`,
          measured: `${median.toFixed(1)} %`,
          met: median <= targets.median,
        },
        {
          what: `the same, nine of ten`,
          wanted: `<= ${targets.worst} %`,
          measured: `${p90.toFixed(1)} %`,
          met: p90 <= targets.worst,
        },
      ]),
      notes: [
        'Error: distance of prediction and measurement, percent of the measurement. The plan is that of the move itself.',
        'Two moves of each strategy go before the grid, so that there is something to learn from.',
      ],
      data: { summary, points },
      plot: plotOf(points),
    };
  },
};

async function measureRank(
  cluster: Cluster,
  mib: number,
  dirtyPercent: number,
  { rounds = 1, quick, say }: BenchmarkOptions,
): Promise<Point[]> {
  const job = await submitRun(cluster, largeSecondRank(mib, { seconds: 86_400, dirtyPercent }), { nodelist: 'n1,n2' });
  await job.untilPrinted(/"event":"progress"/);
  const points: Point[] = [];
  let at = 'n2';
  const go = async (strategy: Strategy) => {
    at = at === 'n2' ? 'n3' : 'n2';
    return await move(cluster, job.container(1), { to: at, strategy });
  };
  const limit = async (rate: string | null) => {
    for (const node of ['n2', 'n3']) await limitLink(cluster.testbed.state, node, rate ?? undefined);
  };
  try {
    if (mib === 32 && dirtyPercent <= 1) for (const strategy of [...strategies, ...strategies]) await go(strategy);
    for (const rate of quick ? [null, '1gbit'] : [null, '1gbit', '100mbit']) {
      // Over the slowest link the largest rank takes a minute and teaches nothing more.
      if (rate === '100mbit' && mib > 128) continue;
      await limit(rate);
      for (const strategy of strategies)
        for (let round = 0; round < rounds; round++)
          points.push(pointOf(await go(strategy), { mib, dirtyPercent, rate, strategy }));
      say(`${mib} MiB, ${dirtyPercent} % written per second, ${rate ?? 'no limit'}`);
    }
  } finally {
    await limit(null);
  }
  await finish(job);
  return points;
}

function pointOf(record: MigrationRecord, what: Pick<Point, 'mib' | 'dirtyPercent' | 'rate' | 'strategy'>): Point {
  const { plan, result, totalMs, phases } = record;
  if (plan?.predicted == null || result?.downtimeMs == null || totalMs === null)
    throw new Error(`migration ${record.id} predicts or measures nothing`);
  const queuedMs = phases.find(({ name }) => name === 'queued')?.ms ?? 0;
  const predicted = { downtime: plan.predicted.downtimeMs, total: plan.predicted.totalMs };
  const measured = { downtime: rounded(result.downtimeMs), total: rounded(totalMs - queuedMs) };
  const error = (kind: Kind) => rounded((Math.abs(predicted[kind] - measured[kind]) / measured[kind]) * 100);
  return { ...what, predicted, measured, errorPercent: { downtime: error('downtime'), total: error('total') } };
}

function print(points: readonly Point[], summary: readonly { kind: Kind; median: number; p90: number }[]): void {
  const header = [
    'RANK',
    'WRITES',
    'LINK',
    'STRATEGY',
    'DOWNTIME ms',
    'PREDICTED',
    'ERROR %',
    'TOTAL ms',
    'PREDICTED',
    'ERROR %',
  ];
  const cells = ({ predicted, measured, errorPercent }: Point) =>
    kinds.flatMap((kind) => [measured[kind].toFixed(0), predicted[kind].toFixed(0), errorPercent[kind].toFixed(1)]);
  const rows = points.map((point) => [
    `${point.mib} MiB`,
    `${point.dirtyPercent} %/s`,
    point.rate ?? '-',
    point.strategy,
    ...cells(point),
  ]);
  console.log(table(header, rows));
  for (const { kind, median, p90 } of summary)
    console.log(`${kind}: median error ${median.toFixed(1)} %, nine of ten within ${p90.toFixed(1)} %`);
}

function plotOf(points: readonly Point[]): Plot {
  return {
    title: 'Predicted and measured',
    panels: kinds.map((kind) => ({
      title: kind,
      kind: 'points',
      x: { label: 'measured, ms', log: true },
      y: { label: 'predicted, ms', log: true },
      series: strategies.map((name) => ({
        name,
        points: points
          .filter(({ strategy }) => strategy === name)
          .map(({ measured, predicted }) => ({ x: measured[kind], y: predicted[kind] })),
      })),
    })),
  };
}
