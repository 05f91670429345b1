import { table } from '../src/cli/table.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { gapsOf, stallOf, windowOf } from './cluster/gaps.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import { toAndFro } from './cluster/to-and-fro.ts';
import { setWake } from './cluster/wake-setting.ts';
import { rounded, type Summary, show, summarize } from './measure/statistics.ts';

const targetMs = 20;

interface Sample {
  wake: boolean;
  downtimeMs: number;
  /** From the freeze until both ranks have made progress. */
  stallMs: number;
}

interface Load {
  name: string;
  program: string;
  /** Moves with the wake, and as many without. */
  rounds: number;
}

/** Long enough for any number of moves; a program is told when it has done enough. */
const seconds = 86_400;

const loads: Load[] = [
  { name: 'allreduce', program: `/opt/rankshift-tests/bin/allreduce --seconds ${seconds} --gap-ms 20`, rounds: 20 },
  { name: 'ping-pong', program: `/opt/rankshift-tests/bin/pingpong --seconds ${seconds} --gap-ms 20`, rounds: 20 },
  {
    name: 'allreduce each 100 ms',
    program: `/opt/rankshift-tests/bin/allreduce --seconds ${seconds} --gap-ms 150 --pause-us 100000`,
    rounds: 20,
  },
  {
    name: 'the same, 512 MiB',
    program: largeSecondRank(512, { seconds, stepMs: 100, gapMs: 150 }),
    rounds: 10,
  },
];

/** Time in which the peer stands still beyond the downtime, with and without the wake, move by move in turn. */
export const stall: Benchmark = {
  about: 'time in which peers stand still, against the downtime; with and without the wake',
  async measure(cluster, options) {
    const data = [];
    for (const load of loads) {
      const samples = await measureLoad(cluster, load, options);
      data.push({ load: load.name, with: split(samples, true), without: split(samples, false), samples });
    }
    const header = ['LOAD', 'WAKE', 'MOVES', 'DOWNTIME ms', 'STALL ms', 'BEYOND ms', 'MIN', 'MAX'];
    const rows = data.flatMap(({ load, with: on, without: off }) => [
      [load, 'yes', ...cells(on)],
      ['', 'no', ...cells(off)],
    ]);
    console.log(table(header, rows));
    return {
      targets: data.map(({ load, with: on }) => ({
        what: `${load}: stall beyond the downtime, median with the wake`,
        wanted: `<= ${targetMs} ms`,
        measured: `${on.beyondMs.median.toFixed(1)} ms`,
        met: on.beyondMs.median <= targetMs,
      })),
      notes: [
        'Two ranks on two nodes; the second one moves. Stall runs from the freeze until both have made an exchange again.',
        'A peer that sends and waits has nothing in flight when the container is held, so nothing has to be woken; one ' +
          'that computes first sends into the hold and backs off: there the wake counts.',
        'Between n2 and n3 one target wakes and the other does not, so the two take turns; halfway they change roles.',
      ],
      data: { loads: data },
    };
  },
};

async function measureLoad(
  cluster: Parameters<Benchmark['measure']>[0],
  { name, program, rounds }: Load,
  { rounds: wanted, quick, say }: BenchmarkOptions,
): Promise<Sample[]> {
  // Half of the moves go each way; with each assignment half of them wake.
  const moves = 2 * Math.ceil((wanted ?? (quick ? 2 : rounds)) / 2);
  const samples: Sample[] = [];
  for (const wakes of ['n3', 'n2']) {
    await setWake(cluster, { n2: wakes === 'n2', n3: wakes === 'n3' });
    const { job, records } = await toAndFro(cluster, program, moves);
    const gaps = gapsOf(job);
    for (const record of records) {
      samples.push({
        wake: record.target === wakes,
        downtimeMs: rounded(windowOf(record).downtimeMs),
        stallMs: rounded(stallOf(gaps, [0, 1], record)),
      });
    }
    say(`${name}: ${samples.length} of ${2 * moves} moves`);
  }
  return samples;
}

interface Half {
  downtimeMs: Summary;
  stallMs: Summary;
  beyondMs: Summary;
}

function split(samples: readonly Sample[], wake: boolean): Half {
  const half = samples.filter((sample) => sample.wake === wake);
  return {
    downtimeMs: summarize(half.map(({ downtimeMs }) => downtimeMs)),
    stallMs: summarize(half.map(({ stallMs }) => stallMs)),
    beyondMs: summarize(half.map(({ stallMs, downtimeMs }) => stallMs - downtimeMs)),
  };
}

function cells({ downtimeMs, stallMs, beyondMs }: Half): string[] {
  const range = [beyondMs.min, beyondMs.max].map((value) => value.toFixed(1));
  return [String(beyondMs.count), show(downtimeMs), show(stallMs), show(beyondMs), ...range];
}
