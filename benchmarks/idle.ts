import { setTimeout as sleep } from 'node:timers/promises';
import { table } from '../src/cli/table.ts';
import type { Benchmark } from './benchmark.ts';
import { daemons, processorSeconds, residentMiB } from './measure/processes.ts';
import { rounded } from './measure/statistics.ts';

const targetPercent = 1;
const targetMiB = 120;

/** What the daemons of a cluster cost on which nothing happens. */
export const idle: Benchmark = {
  about: 'processor time and memory of controller and agents that have nothing to do',
  async measure(cluster, { rounds, quick, say }) {
    const seconds = rounds ?? (quick ? 10 : 60);
    // What they do at their start is over by then.
    await sleep(5000);
    const processes = daemons(cluster);
    const before = processes.map((daemon) => ({ at: performance.now(), used: processorSeconds(daemon) }));
    say(`watching ${processes.length} processes for ${seconds} s`);
    await sleep(seconds * 1000);
    const measured = processes.map((daemon, index) => {
      const { at, used } = before[index] ?? { at: 0, used: 0 };
      const percent = ((processorSeconds(daemon) - used) / ((performance.now() - at) / 1000)) * 100;
      const { rss, own } = residentMiB(daemon);
      return { name: daemon.name, percent: rounded(percent), rssMiB: rounded(rss), ownMiB: rounded(own) };
    });
    const rows = measured.map(({ name, percent, rssMiB, ownMiB }) => [
      name,
      percent.toFixed(2),
      rssMiB.toFixed(1),
      ownMiB.toFixed(1),
    ]);
    console.log(table(['PROCESS', '% OF A CORE', 'RESIDENT MiB', 'OF IT ITS OWN'], rows));
    const percent = Math.max(...measured.map((one) => one.percent));
    const rss = Math.max(...measured.map((one) => one.rssMiB));
    return {
      targets: [
        {
          what: 'processor time of each',
          wanted: `< ${targetPercent} % of a core`,
          measured: `at most ${percent.toFixed(2)} %`,
          met: percent < targetPercent,
        },
        {
          what: 'resident memory of each',
          wanted: `< ${targetMiB} MiB`,
          measured: `at most ${rss.toFixed(1)} MiB`,
          met: rss < targetMiB,
        },
      ],
      notes: [`Measured over ${seconds} s (--rounds is the number of seconds) on a cluster of three compute nodes.`],
      data: { seconds, processes: measured },
    };
  },
};
