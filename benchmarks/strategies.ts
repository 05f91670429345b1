import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submitRun } from '../mpi-tests/support/job.ts';
import { move } from '../mpi-tests/support/move.ts';
import type { MigrationRecord, Strategy } from '../src/migration/record.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { moveByHand, tools } from './by-hand/move-by-hand.ts';
import { buildHog } from './by-hand/peer.ts';
import { finish } from './cluster/finish.ts';
import { gapAround, gapsOf, stallOf, windowOf } from './cluster/gaps.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import { countsOf, rateBetween } from './cluster/rates.ts';
import { spansOf } from './cluster/spans.ts';
import { availableMemoryBytes } from './measure/machine.ts';
import { rounded } from './measure/statistics.ts';
import { plotOf, printPhases, printSizes } from './strategies/print.ts';
import { type ByHandSize, type Sample, type Size, summarizeSizes, targetsOf } from './strategies/summary.ts';

const sizesMib = [64, 256, 1024, 4096];
const byHandMib = 1024;
const dirtyPercent = 1;
const strategies: readonly Strategy[] = ['pre-copy', 'hybrid', 'post-copy', 'stop-and-copy'];
/** CRIU's images lie in memory on both nodes, beside the process on both: on one machine that is four times the rank. */
const largestOfStopAndCopy = 1024;
const memoryPerByte = 3.2;
/** What is looked at before the request and after the move. */
const quietMs = 2000;
const afterMs = 1000;

/** Downtime by size of the rank and strategy, and what the application feels of the move. */
export const strategiesBenchmark: Benchmark = {
  about: 'downtime by size and strategy, its phases, and what the application feels, beside moves by hand',
  stateSize: '20g',
  async measure(cluster, options) {
    await buildHog();
    const notes = [
      `The second rank of an MPI job of two writes ${dirtyPercent} % of its memory per second and joins an allreduce each ms. ` +
        'Downtime: container stopped until running, by the record. Felt: longest time without progress of the moved rank by ' +
        'CLOCK_REALTIME, with what it waits for memory until its next exchange (it has written nothing meanwhile, and makes ' +
        'up for it first). Beyond: from the end of the downtime until both ranks go on.',
      'Slowed: allreduces per second that are missing against the two seconds before the request, in the rounds, and in the ' +
        'second after the moved rank runs again.',
      `Stop-and-copy up to ${largestOfStopAndCopy} MiB: on one machine it takes four times the rank's memory.`,
    ];
    const sizes: Size[] = [];
    for (const mib of options.quick ? [64, 256] : sizesMib) {
      if (availableMemoryBytes() < mib * 2 ** 20 * memoryPerByte) {
        notes.push(`${mib} MiB was left out: the machine had not got the memory.`);
        continue;
      }
      sizes.push({ mib, samples: await measureSize(cluster, mib, options) });
    }
    const byHand = options.quick ? [] : await measureByHand(cluster, options);
    const summaries = summarizeSizes(sizes);
    printSizes(summaries, byHand);
    printPhases(summaries);
    return {
      targets: targetsOf(summaries, byHand),
      notes,
      data: { summaries, byHand, sizes },
      plot: plotOf(summaries, byHand),
    };
  },
};

async function measureSize(cluster: Cluster, mib: number, options: BenchmarkOptions): Promise<Sample[]> {
  const rank = largeSecondRank(mib, { seconds: 86_400, dirtyPercent, rateMs: 50 });
  const job = await submitRun(cluster, rank, { nodelist: 'n1,n2' });
  await job.untilPrinted(/"event":"progress"/);
  const moved: { strategy: Strategy; record: MigrationRecord; requestedMs: number }[] = [];
  let at = 'n2';
  for (let round = 1; round <= (options.rounds ?? (options.quick ? 1 : 5)); round++) {
    for (const strategy of strategies) {
      if (strategy === 'stop-and-copy' && mib > largestOfStopAndCopy) continue;
      await sleep(quietMs);
      at = at === 'n2' ? 'n3' : 'n2';
      const requestedMs = Date.now();
      moved.push({ strategy, record: await move(cluster, job.container(1), { to: at, strategy }), requestedMs });
      await sleep(afterMs);
    }
    options.say(`${mib} MiB: round ${round}`);
  }
  await finish(job);
  const gaps = gapsOf(job);
  const counts = countsOf(job);
  return moved.map(({ strategy, record, requestedMs }): Sample => {
    const { from, to, downtimeMs } = windowOf(record);
    const copying = record.phases.find(({ name }) => name === 'copying');
    const before = rateBetween(counts, requestedMs - quietMs, requestedMs) ?? Number.NaN;
    const slowed = (rate: number | null) => (rate === null ? null : rounded((1 - rate / before) * 100));
    return {
      strategy,
      downtimeMs: rounded(downtimeMs),
      feltMs: rounded(gapAround(gaps, 1, record)),
      beyondMs: rounded(stallOf(gaps, [0, 1], record) - downtimeMs),
      totalMs: rounded(record.totalMs ?? Number.NaN),
      slowedInRounds: copying === undefined ? null : slowed(rateBetween(counts, copying.at, from)),
      slowedAfter: slowed(rateBetween(counts, to, to + afterMs)),
      leftBytes: record.result?.leftBytes ?? null,
      steps: spansOf(record),
    };
  });
}

async function measureByHand(cluster: Cluster, options: BenchmarkOptions): Promise<ByHandSize[]> {
  const all: ByHandSize[] = tools.map((tool) => ({ tool, mib: byHandMib, downtimesMs: [] }));
  for (let round = 1; round <= (options.rounds ?? 5); round++) {
    for (const { tool, downtimesMs } of all)
      downtimesMs.push(rounded((await moveByHand(cluster, tool, byHandMib, 'n2', 'n3')).downtimeMs));
    options.say(`by hand: round ${round}`);
  }
  return all;
}
