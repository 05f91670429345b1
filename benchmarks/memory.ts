import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submitRun } from '../mpi-tests/support/job.ts';
import { move } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark } from './benchmark.ts';
import { finish } from './cluster/finish.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import { daemons, forgetPeak, peakMiB } from './measure/processes.ts';
import { type Summary, show, summarize } from './measure/statistics.ts';

const targetMiB = 200;

/** Peak of the memory of our processes while a big rank moves. */
export const memory: Benchmark = {
  about: 'peak memory of controller and agents while a rank of 1 GiB moves',
  stateSize: '12g',
  async measure(cluster, { rounds, quick, say }) {
    const mib = quick ? 256 : 1024;
    const job = await submitRun(cluster, largeSecondRank(mib, { seconds: 86_400 }), { nodelist: 'n1,n2' });
    await job.untilPrinted(/"event":"progress"/);
    const peaks = new Map<string, number[]>();
    const count = rounds ?? (quick ? 2 : 6);
    for (let round = 1, at = 'n2'; round <= count; round++) {
      const [source, target] = at === 'n2' ? (['n2', 'n3'] as const) : (['n3', 'n2'] as const);
      for (const { role, peak } of await peaksOfMove(cluster, job.container(1), source, target)) {
        peaks.set(role, [...(peaks.get(role) ?? []), peak]);
      }
      at = target;
      say(`${round} of ${count} moves`);
    }
    await finish(job);
    const summaries = [...peaks].map(([role, values]): [string, Summary] => [role, summarize(values)]);
    const rows = summaries.map(([role, summary]) => [role, show(summary), summary.max.toFixed(1)]);
    console.log(table(['PROCESS', 'PEAK MiB', 'LARGEST'], rows));
    const largest = Math.max(...summaries.map(([, { max }]) => max));
    return {
      targets: [
        {
          what: `peak of the resident memory of each process of ours, rank of ${mib} MiB`,
          wanted: `< ${targetMiB} MiB`,
          measured: `at most ${largest.toFixed(1)} MiB`,
          met: largest < targetMiB,
        },
      ],
      notes: [`${count} moves of one container to and fro; VmHWM, reset before each move.`],
      data: { rankMiB: mib, peakMiB: Object.fromEntries(summaries) },
    };
  },
};

async function peaksOfMove(cluster: Cluster, container: string, source: string, target: string) {
  const roles = new Map([
    ['ctl', 'controller'],
    [source, 'agent of the source'],
    [target, 'agent of the target'],
  ]);
  const watched = daemons(cluster).map((daemon) => ({ ...daemon, role: roles.get(daemon.node) ?? 'agent of a peer' }));
  for (const daemon of watched) forgetPeak(daemon);
  await move(cluster, container, { to: target });
  return watched.map((daemon) => ({ role: daemon.role, peak: peakMiB(daemon) }));
}
