import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { type Job, submitRun } from '../mpi-tests/support/job.ts';
import { move, moveSet } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import { loadConfig } from '../src/config.ts';
import { limitsOf } from '../src/controller/turn-taker.ts';
import type { MigrationRecord } from '../src/migration/record.ts';
import { johnsonOrder, lowerBound, type ScheduledMove, schedule } from '../src/migration/schedule.ts';
import { limitLink } from '../src/testbed/index.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { finish } from './cluster/finish.ts';
import { measureGang, type Stall } from './cluster/gang-stall.ts';
import type { Plot } from './measure/plot.ts';
import { quantile, rounded, type Summary, show, summarize } from './measure/statistics.ts';

const count = 4;
const largestPart = 0.7;
const wantedPart = 0.55;
const largestStall = 1.3;
/** Of all nodes, as of tc(8); null: none. The first decides. */
const links: readonly (string | null)[] = [null, '1gbit'];

interface Case {
  link: string | null;
  /** Seconds from the first request to the last end. */
  alone: Summary;
  group: Summary;
  part: Summary;
  /** Medians of single moves, seconds. */
  stages: Omit<ScheduledMove, 'id' | 'source' | 'target'>;
  bound: number;
  planned: number;
}

/** Containers that leave one node: as a group against one after another; how long a job stands when several of its own move. */
export const group: Benchmark = {
  about: 'containers that leave one node, as a group against one after another; the stall of a gang',
  stateSize: '8g',
  cpusPerNode: 4,
  async measure(cluster, options) {
    const mib = options.quick ? 64 : 256;
    const cases: Case[] = [];
    for (const link of links) cases.push(await measureCase(cluster, { link, mib }, options));
    const gang = await measureGang(cluster, options);
    print(cases, gang);
    const [decisive] = cases;
    const median = decisive?.part.median ?? Number.NaN;
    const together = gang.at(-1)?.part ?? Number.NaN;
    return {
      targets: [
        {
          what: `${count} containers of ${mib} MiB, ${nameOf(decisive?.link)}: makespan of the group / one after another (aim ${wantedPart})`,
          wanted: `<= ${largestPart}`,
          measured: median.toFixed(2),
          met: median <= largestPart,
        },
        {
          what: 'stall of a job whose two containers freeze together / of a single move',
          wanted: `<= ${largestStall}`,
          measured: together.toFixed(2),
          met: together <= largestStall,
        },
      ],
      notes: [
        `${count} jobs of one container with ${mib} MiB of noise on n1; two go to n2, two to n3. One after another: the sum of their own ` +
          'times, from request to end; the group: from the first request to the last end. A limit is a token bucket at each node.',
        'Stages of single moves: ahead (preflight, preparation), copy (rounds over the link, to the freeze), restore (freeze to the end). ' +
          'Bound: no schedule of such stages is shorter, where a link carries no more for two at once. Schedule: list scheduling in ' +
          "Johnson's order with the default limits, as if two copies did not share the link or the processors.",
        'Stall: an allreduce each millisecond on three nodes; what rank 0, which stays, lost in gaps over 20 ms in which one was frozen.',
      ],
      data: { cases, gang },
      plot: plotOf(cases, gang),
    };
  },
};

async function measureCase(
  cluster: Cluster,
  { link, mib }: { link: string | null; mib: number },
  { rounds, quick, say }: BenchmarkOptions,
): Promise<Case> {
  const jobs: Job[] = [];
  for (let i = 0; i < count; i++) {
    const program = `/opt/rankshift-tests/bin/memhog --seconds 86400 --mib ${mib} --step-ms 50 --dirty-percent 1`;
    const job = await submitRun(cluster, program, { nodes: 1, nodelist: 'n1' });
    await job.untilPrinted(/"event":"progress"/);
    jobs.push(job);
  }
  const limit = async (to: string | undefined) => {
    for (const node of cluster.nodes) await limitLink(cluster.testbed.state, node, to);
  };
  await limit(link ?? undefined);
  const away = (index: number) => (index % 2 === 0 ? 'n2' : 'n3');
  const alone: number[] = [];
  const all: number[] = [];
  const singles: MigrationRecord[] = [];
  try {
    const wanted = rounds ?? (quick ? 1 : 5);
    for (let round = 1; round <= wanted; round++) {
      const records: MigrationRecord[] = [];
      for (const [index, job] of jobs.entries())
        records.push(await move(cluster, job.container(0), { to: away(index) }));
      // Each from its own request to its own end: what lies between them is the client's.
      alone.push(records.reduce((sum, { totalMs }) => sum + (totalMs ?? Number.NaN), 0) / 1000);
      singles.push(...records);
      await moveAll(cluster, jobs, () => 'n1');
      all.push(makespan(await moveAll(cluster, jobs, away)));
      await moveAll(cluster, jobs, () => 'n1');
      say(`${nameOf(link)}: ${round} of ${wanted}: ${alone.at(-1)} s one by one, ${all.at(-1)} s together`);
    }
  } finally {
    await limit(undefined);
  }
  for (const job of jobs) await finish(job);
  const stages = stagesOf(singles);
  const moves = jobs.map((_, index) => ({ id: String(index), source: 'n1', target: away(index), ...stages }));
  const limits = limitsOf(loadConfig('/dev/null'));
  return {
    link,
    alone: summarize(alone.map(rounded)),
    group: summarize(all.map(rounded)),
    part: summarize(all.map((seconds, round) => rounded(seconds / (alone[round] ?? Number.NaN)))),
    stages,
    bound: rounded(lowerBound(moves, limits, { wire: true })),
    planned: rounded(schedule(johnsonOrder(moves), limits).makespan),
  };
}

async function moveAll(cluster: Cluster, jobs: readonly Job[], to: (index: number) => string) {
  const targets = new Map(jobs.map((job, index) => [job.container(0), to(index)]));
  const { migrations } = await moveSet(cluster, targets);
  const failed = migrations.find(({ state }) => state !== 'completed');
  if (failed !== undefined) throw new Error(`migration ${failed.id} is ${failed.state}: ${failed.error?.message}`);
  return migrations;
}

function makespan(records: readonly MigrationRecord[]): number {
  const from = Math.min(...records.map(({ createdAt }) => createdAt));
  return (Math.max(...records.map(({ endedAt }) => endedAt ?? Number.NaN)) - from) / 1000;
}

/** Medians over single moves, seconds. */
function stagesOf(records: readonly MigrationRecord[]): Case['stages'] {
  const median = (of: (record: MigrationRecord) => number) => {
    const sorted = records.map(of).toSorted((a, b) => a - b);
    return rounded(quantile(sorted, 0.5) / 1000);
  };
  const frozenAt = ({ result }: MigrationRecord) =>
    result?.timeline.find(({ name }) => name === 'frozen')?.at ?? Number.NaN;
  const copyAt = ({ phases }: MigrationRecord) =>
    phases.find(({ name }) => name === 'copying' || name === 'switching')?.at ?? Number.NaN;
  return {
    aheadSeconds: median((record) => copyAt(record) - record.createdAt),
    copySeconds: median((record) => frozenAt(record) - copyAt(record)),
    restoreSeconds: median((record) => (record.endedAt ?? Number.NaN) - frozenAt(record)),
  };
}

const nameOf = (link: string | null | undefined) => (link == null ? 'no limit' : link);

function print(cases: readonly Case[], gang: readonly Stall[]): void {
  const rows = cases.map(({ link, alone, group: all, part, stages, bound, planned }) => [
    nameOf(link),
    show(alone, 2),
    show(all, 2),
    show(part, 2),
    [stages.aheadSeconds, stages.copySeconds, stages.restoreSeconds].map((value) => value.toFixed(2)).join(' + '),
    planned.toFixed(2),
    bound.toFixed(2),
  ]);
  console.log(table(['LINK', 'ONE BY ONE s', 'GROUP s', 'PART', 'STAGES ALONE s', 'SCHEDULE s', 'BOUND s'], rows));
  console.log(
    table(
      ['CONTAINERS OF ONE JOB', 'STALL ms', 'DOWNTIME ms', 'OF A SINGLE MOVE'],
      gang.map(({ name, stallMs, downtimeMs, part }) => [name, show(stallMs), show(downtimeMs), part.toFixed(2)]),
    ),
  );
}

function plotOf(cases: readonly Case[], gang: readonly Stall[]): Plot {
  const bars = (name: string, of: (one: Case) => Summary) => ({
    name,
    points: cases.map((one) => ({ x: nameOf(one.link), y: of(one).median, low: of(one).min, high: of(one).max })),
  });
  const level = (name: string, of: (one: Case) => number) => ({
    name,
    points: cases.map((one) => ({ x: nameOf(one.link), y: of(one) })),
  });
  return {
    title: `${count} containers leave a node`,
    panels: [
      {
        title: 'makespan',
        kind: 'bars',
        x: { label: 'link' },
        y: { label: 's' },
        series: [
          bars('one by one', ({ alone }) => alone),
          bars('group', ({ group: all }) => all),
          level('lower bound', ({ bound }) => bound),
        ],
      },
      {
        title: 'stall of one job',
        kind: 'bars',
        x: { label: '' },
        y: { label: 'ms' },
        series: [
          {
            name: 'stall',
            points: gang.map(({ name: x, stallMs: { median, min, max } }) => ({ x, y: median, low: min, high: max })),
          },
        ],
      },
    ],
  };
}
