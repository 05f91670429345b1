import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submitRun } from '../mpi-tests/support/job.ts';
import { move } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { moveByHand, type Tool, tools } from './by-hand/move-by-hand.ts';
import { buildHog } from './by-hand/peer.ts';
import { finish } from './cluster/finish.ts';
import { gapAround, gapsOf, windowOf } from './cluster/gaps.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import { spansOf } from './cluster/spans.ts';
import { availableMemoryBytes, load } from './measure/machine.ts';
import { rounded, type Summary, show, summarize } from './measure/statistics.ts';

const targetRatio = 0.7;
const sizesMib = [64, 256, 1024, 4096];
const decisiveMib = 1024;
/** Images on both sides, archives and the process itself: memory that a move by hand takes on one machine. */
const memoryPerByte = 4.5;

const ours = { 'rankshift, pre-copy': 'pre-copy', 'rankshift, stop-and-copy': 'stop-and-copy' } as const;
type Ours = keyof typeof ours;
const ourWays = Object.keys(ours) as Ours[];

/** One move, by whatever means. */
interface Sample {
  by: Ours | Tool;
  /** Longest time in which the moved process did not run, by its own clock. */
  downtimeMs: number;
  /** From the request to the last thing removed. */
  totalMs: number;
  /** Steps by name, milliseconds. */
  steps: Record<string, number>;
  load: number;
}

interface Size {
  mib: number;
  samples: Sample[];
}

/** Downtime and total time of a move beside the same move by hand, in turn on the same nodes. */
export const downtime: Benchmark = {
  about: 'downtime and total time by size of the rank, beside runc + tar and podman by hand',
  stateSize: '20g',
  async measure(cluster, options) {
    await buildHog();
    const sizes: Size[] = [];
    const notes = [
      'Downtime is the longest gap of the moved process by CLOCK_REALTIME. Ours is the second rank of an MPI job of two, ' +
        'with its daemon beside it; by hand it is a single process with one TCP connection to itself.',
      'By hand: benchmarks/by-hand/move-by-runc and move-by-podman; bundle, image and network are there before.',
    ];
    for (const mib of options.quick ? [64, decisiveMib] : sizesMib) {
      if (availableMemoryBytes() < mib * 2 ** 20 * memoryPerByte) {
        notes.push(`${mib} MiB was left out: the machine had not got the memory.`);
        continue;
      }
      sizes.push({ mib, samples: await measureSize(cluster, mib, options) });
    }
    const summaries = sizes.map(summarizeSize);
    print(summaries);
    return {
      targets: summaries
        .filter(({ mib }) => mib === decisiveMib)
        .flatMap(({ columns }) =>
          columns
            .filter((column) => column.ratio !== null)
            .map(({ by, ratio }) => ({
              what: `downtime of a rank of ${decisiveMib} MiB against the better by hand, ratio of the medians: ${by}`,
              wanted: `<= ${targetRatio}`,
              measured: (ratio ?? Number.NaN).toFixed(2),
              met: (ratio ?? Number.NaN) <= targetRatio,
            })),
        ),
      notes,
      data: { summaries, sizes },
    };
  },
};

async function measureSize(cluster: Cluster, mib: number, options: BenchmarkOptions): Promise<Sample[]> {
  const samples: Sample[] = [];
  const rounds = options.rounds ?? (options.quick ? 1 : 3);
  for (let round = 1; round <= rounds; round++) {
    const before = load();
    for (const by of ourWays) samples.push({ ...(await moveOurs(cluster, mib, by)), load: before });
    for (const tool of tools) {
      const at = load();
      const { downtimeMs, totalMs, ...steps } = await moveByHand(cluster, tool, mib, 'n2', 'n3');
      samples.push({ by: tool, downtimeMs, totalMs, steps, load: at });
    }
    const said = samples
      .slice(-ourWays.length - tools.length)
      .map(({ by, downtimeMs }) => `${by} ${downtimeMs.toFixed(0)} ms`);
    options.say(`${mib} MiB, round ${round} of ${rounds}: ${said.join(', ')}`);
  }
  return samples;
}

/** A job of its own for each move: by hand nothing else runs either. */
async function moveOurs(cluster: Cluster, mib: number, by: Ours): Promise<Omit<Sample, 'load'>> {
  const job = await submitRun(cluster, largeSecondRank(mib, { seconds: 86_400 }), { nodelist: 'n1,n2' });
  await job.untilPrinted(/"event":"progress"/);
  const record = await move(cluster, job.container(1), { to: 'n3', strategy: ours[by] });
  await finish(job);
  return {
    by,
    downtimeMs: rounded(gapAround(gapsOf(job), 1, record)),
    totalMs: rounded(record.totalMs ?? Number.NaN),
    steps: { recordedDowntimeMs: rounded(windowOf(record).downtimeMs), ...spansOf(record) },
  };
}

interface Column {
  by: Sample['by'];
  downtimeMs: Summary;
  totalMs: Summary;
  /** Of the median downtimes, to the better by hand; null of those. */
  ratio: number | null;
}

function summarizeSize({ mib, samples }: Size) {
  const columns = [...ourWays, ...tools].map((by) => {
    const own = samples.filter((sample) => sample.by === by);
    const of = (key: 'downtimeMs' | 'totalMs') => summarize(own.map((sample) => sample[key]));
    return { by, downtimeMs: of('downtimeMs'), totalMs: of('totalMs') };
  });
  const better = Math.min(...columns.slice(ourWays.length).map(({ downtimeMs }) => downtimeMs.median));
  const isOurs = (by: Sample['by']) => by in ours;
  return {
    mib,
    columns: columns.map((column): Column => {
      return { ...column, ratio: isOurs(column.by) ? rounded(column.downtimeMs.median / better) : null };
    }),
  };
}

function print(summaries: readonly ReturnType<typeof summarizeSize>[]): void {
  const header = ['RANK', 'MOVED BY', 'DOWNTIME ms', 'MIN', 'MAX', 'TOTAL ms', 'RATIO'];
  const rows = summaries.flatMap(({ mib, columns }) =>
    columns.map(({ by, downtimeMs, totalMs, ratio }, index) => [
      index === 0 ? `${mib} MiB` : '',
      by,
      show(downtimeMs, 0),
      downtimeMs.min.toFixed(0),
      downtimeMs.max.toFixed(0),
      show(totalMs, 0),
      ratio === null ? '' : ratio.toFixed(2),
    ]),
  );
  console.log(table(header, rows));
}
