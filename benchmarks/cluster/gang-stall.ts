import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { submitRun } from '../../mpi-tests/support/job.ts';
import { move, moveSet } from '../../mpi-tests/support/move.ts';
import type { MigrationRecord } from '../../src/migration/record.ts';
import type { BenchmarkOptions } from '../benchmark.ts';
import { rounded, type Summary, summarize } from '../measure/statistics.ts';
import { finish } from './finish.ts';
import { gapsOf, windowOf } from './gaps.ts';

export interface Stall {
  name: string;
  /** Time in which rank 0, which stays, made no progress because of the freezes, milliseconds. */
  stallMs: Summary;
  downtimeMs: Summary;
  /** Of the median of a single move. */
  part: number;
}

const ways = ['one container', 'two, each by itself', 'two, gang'] as const;
/** Shorter gaps are the program's own. */
const gapMs = 20;

/** How long a job of three nodes stands still when one of its containers moves, and when two change places. */
export async function measureGang(cluster: Cluster, { rounds, quick, say }: BenchmarkOptions): Promise<Stall[]> {
  const program = `/opt/rankshift-tests/bin/allreduce --seconds 86400 --gap-ms ${gapMs} --pause-us 1000`;
  const job = await submitRun(cluster, program, { nodes: 3, nodelist: 'n1,n2,n3' });
  await job.untilPrinted(/"event":"progress"/, 2);
  const moved: Record<(typeof ways)[number], MigrationRecord[][]> = {
    'one container': [],
    'two, each by itself': [],
    'two, gang': [],
  };
  const at = ['n2', 'n3'];
  const swap = async (...more: string[]) => {
    at.reverse();
    const targets = new Map(at.map((node, index) => [job.container(index + 1), node]));
    const { exitCode, migrations } = await moveSet(cluster, targets, ['--wait', ...more]);
    if (exitCode !== 0) throw new Error(`a group failed: ${JSON.stringify(migrations.map(({ error }) => error))}`);
    return migrations;
  };
  const wanted = rounds ?? (quick ? 2 : 9);
  for (let round = 1; round <= wanted; round++) {
    const [here = '', there = ''] = at;
    moved['one container'].push([await move(cluster, job.container(1), { to: there })]);
    moved['one container'].push([await move(cluster, job.container(1), { to: here })]);
    moved['two, each by itself'].push(await swap('--no-gang'));
    moved['two, gang'].push(await swap());
    say(`stall: ${round} of ${wanted}`);
  }
  await finish(job);
  const gaps = gapsOf(job).filter(({ rank }) => rank === 0);
  const stallOf = (records: readonly MigrationRecord[]) => {
    const windows = records.map(windowOf);
    return gaps
      .filter(({ startMs, ms }) => windows.some(({ from, to }) => startMs < to && startMs + ms > from))
      .reduce((sum, { ms }) => sum + ms, 0);
  };
  const stalls = ways.map((name) => ({
    name,
    stallMs: summarize(moved[name].map((records) => rounded(stallOf(records)))),
    downtimeMs: summarize(moved[name].flat().map((record) => rounded(windowOf(record).downtimeMs))),
  }));
  const single = stalls[0]?.stallMs.median ?? Number.NaN;
  return stalls.map((one) => ({ ...one, part: rounded(one.stallMs.median / single) }));
}
