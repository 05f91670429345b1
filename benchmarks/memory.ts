import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submitRun } from '../mpi-tests/support/job.ts';
import { move } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark } from './benchmark.ts';
import { finish } from './cluster/finish.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import { daemons, forgetPeak, peakMiB } from './measure/processes.ts';
import { type Summary, show, summarize } from './measure/statistics.ts';
import { type NodePeaks, watchNode } from './memory/watch.ts';

const targetMiB = 200;

/** What one of the C programs may take beside its buffers, whatever the size of the rank. */
const targetProgramMiB = 64;
const targetTimes = 2;

/** Peak of the memory of our processes while a big rank moves, and of what the target takes for it. */
export const memory: Benchmark = {
  about: 'peak memory of our processes and of the target while a rank of 4 GiB moves',
  stateSize: '20g',
  async measure(cluster, { rounds, quick, say }) {
    const mib = quick ? 256 : 4096;
    const job = await submitRun(cluster, largeSecondRank(mib, { seconds: 86_400 }), { nodelist: 'n1,n2' });
    await job.untilPrinted(/"event":"progress"/);
    const peaks = new Map<string, number[]>();
    const programs = new Map<string, number[]>();
    const onTarget: number[] = [];
    const left: number[] = [];
    const count = rounds ?? (quick ? 2 : 5);
    for (let round = 1, at = 'n2'; round <= count; round++) {
      const [source, target] = at === 'n2' ? (['n2', 'n3'] as const) : (['n3', 'n2'] as const);
      const moved = await peaksOfMove(cluster, job.container(1), source, target);
      for (const { role, peak } of moved.daemons) peaks.set(role, [...(peaks.get(role) ?? []), peak]);
      for (const [name, peak] of moved.programs) programs.set(name, [...(programs.get(name) ?? []), peak]);
      onTarget.push(moved.target.waitingAndFilled / mib);
      left.push(moved.target.left);
      at = target;
      say(`${round} of ${count} moves`);
    }
    await finish(job);
    const summaries = [...peaks].map(([role, values]): [string, Summary] => [role, summarize(values)]);
    const ofPrograms = [...programs].map(([name, values]): [string, Summary] => [name, summarize(values)]);
    const rows = [...summaries, ...ofPrograms].map(([role, summary]) => [role, show(summary), summary.max.toFixed(1)]);
    console.log(table(['PROCESS', 'PEAK MiB', 'LARGEST'], rows));
    const largest = Math.max(...summaries.map(([, { max }]) => max));
    const largestProgram = Math.max(...ofPrograms.map(([, { max }]) => max));
    const times = summarize(onTarget);
    return {
      targets: [
        {
          what: `peak of the resident memory of each process of ours, rank of ${mib} MiB`,
          wanted: `< ${targetMiB} MiB`,
          measured: `at most ${largest.toFixed(1)} MiB`,
          met: largest < targetMiB,
        },
        {
          what: `memory of its own of each C program and of CRIU, rank of ${mib} MiB`,
          wanted: `< ${targetProgramMiB} MiB`,
          measured: `at most ${largestProgram.toFixed(1)} MiB`,
          met: largestProgram < targetProgramMiB,
        },
        {
          what: "pages that wait on the target and the container's memory there, together, to the memory of the rank",
          wanted: `<= ${targetTimes}`,
          measured: `${show(times, 2)}, at most ${times.max.toFixed(2)}`,
          met: times.max <= targetTimes,
        },
        {
          what: 'pages that still wait on the target when a move has ended',
          wanted: '0 MiB',
          measured: `${Math.max(...left).toFixed(1)} MiB`,
          met: Math.max(...left) === 0,
        },
      ],
      notes: [
        `${count} moves of one container to and fro. Daemons: VmHWM, reset before each move; programs: RssAnon, looked at each 50 ms.`,
      ],
      data: {
        rankMiB: mib,
        peakMiB: Object.fromEntries(summaries),
        programsMiB: Object.fromEntries(ofPrograms),
        targetTimesRank: times,
      },
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
  const cgroup = `/sys/fs/cgroup/rankshift/rs-${container.replace('.', '-')}`;
  const nodes = [source, target].map((node) => watchNode(cluster, node, cgroup));
  await move(cluster, container, { to: target });
  const [ofSource, ofTarget] = nodes.map(({ stop }) => stop());
  if (ofSource === undefined || ofTarget === undefined) throw new Error('nothing was watched');
  const named = (where: string, { programs }: NodePeaks) =>
    Object.entries(programs).map(([name, peak]): [string, number] => [`${name} of the ${where}`, peak]);
  return {
    daemons: watched.map((daemon) => ({ role: daemon.role, peak: peakMiB(daemon) })),
    programs: [...named('source', ofSource), ...named('target', ofTarget)],
    target: ofTarget,
  };
}
