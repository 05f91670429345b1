import { chmodSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { until } from '../mpi-tests/support/until.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark } from './benchmark.ts';
import { setOnController } from './cluster/controller-setting.ts';
import { daemons, processorSeconds } from './measure/processes.ts';
import { rounded, show, summarize } from './measure/statistics.ts';

const targetPercent = 5;
const nodes = 1000;
const perNode = 10;
const inNodes = '/opt/rankshift';

interface Setting {
  name: string;
  mode: 'off' | 'dry-run';
  /** Jobs of which one container is held up. */
  held: number;
}

const settings: Setting[] = [
  { name: 'balancing off', mode: 'off', held: 0 },
  { name: 'nobody held up', mode: 'dry-run', held: 0 },
  { name: '10 jobs held up', mode: 'dry-run', held: 10 },
  { name: '100 jobs held up', mode: 'dry-run', held: 100 },
];

/** What the controller of a large cluster spends on the figures that balancing goes by. */
export const balanceCost: Benchmark = {
  about: `processor time of the controller for the balancing data of ${nodes} simulated nodes`,
  testbed: { config: { BalanceHoldMs: '1000' } },
  async measure(cluster, { rounds, quick, say }) {
    const seconds = quick ? 15 : 30;
    await simulateSlurm(cluster);
    await setOnController(cluster, 'ScontrolPath', '/run/rankshift/scontrol');
    const percents = settings.map((): number[] => []);
    for (let round = 0; round < (rounds ?? (quick ? 1 : 5)); round += 1) {
      for (const [index, setting] of settings.entries()) {
        const percent = await percentOf(cluster, setting, seconds);
        say(`${setting.name}: ${percent.toFixed(2)} % of a core`);
        percents[index]?.push(percent);
      }
    }
    const data = settings.map(({ name, held }, index) => ({
      ...{ name, held, percent: summarize(percents[index] ?? []), percents: percents[index] ?? [] },
    }));
    const off = data[0]?.percent.median.toFixed(2);
    const rows = data.map(({ name, percent }) => [name, show(percent, 2), percent.max.toFixed(2)]);
    console.log(table(['SETTING', 'MEDIAN % OF A CORE', 'MAX'], rows));
    return {
      targets: data.slice(1).map(({ name, percent }) => ({
        what: `${name}: controller, median`,
        wanted: `< ${targetPercent} % of a core`,
        measured: `${percent.median.toFixed(2)} % (off: ${off} %)`,
        met: percent.median < targetPercent,
      })),
      notes: [
        `${nodes} nodes with ${perNode} containers each are simulated: heartbeats once a second, records of containers, answers of Slurm; Redis and the controller are real, and all that else it does is in the figure.`,
        `Each value over ${seconds} s. Balancing is a dry run, so that nothing is asked of nodes that are not there.`,
      ],
      plot: {
        title: `Processor time of the controller, ${nodes} nodes`,
        panels: [
          {
            kind: 'bars',
            x: { label: 'balancing' },
            y: { label: '% of a core' },
            series: [
              {
                name: 'controller',
                points: data.map(({ name, percent: { median, min, max } }) => ({
                  x: name,
                  y: median,
                  low: min,
                  high: max,
                })),
              },
            ],
            limits: [{ name: 'target', y: targetPercent }],
          },
        ],
      },
      data: { nodes, perNode, seconds, settings: data },
    };
  },
};

async function percentOf(cluster: Cluster, { mode, held }: Setting, seconds: number): Promise<number> {
  await setOnController(cluster, 'BalanceMode', mode);
  const argv = ['benchmarks/cluster/simulated-heartbeats.ts', ...[nodes, perNode, held].map(String)];
  const [program = '', ...args] = argv;
  const simulation = cluster.testbed.spawn('ctl', [
    `${inNodes}/node_modules/.bin/node`,
    `${inNodes}/${program}`,
    ...args,
  ]);
  try {
    const lines = ['-c', 'rankshift nodes --no-header | grep -c "^s[0-9]"'];
    await until(
      'all simulated nodes are seen',
      async () => Number((await cluster.exec('ctl', ['/bin/sh', ...lines])).stdout) === nodes,
      { timeoutMs: 60_000, pollMs: 1000 },
    );
    // What comes first is read for the first time: compiled, and asked of Slurm.
    await sleep(10_000);
    const [controller] = daemons(cluster);
    if (controller === undefined) throw new Error('there is no controller');
    const before = { at: performance.now(), used: processorSeconds(controller) };
    await sleep(seconds * 1000);
    const used = processorSeconds(controller) - before.used;
    return rounded((used / ((performance.now() - before.at) / 1000)) * 100);
  } finally {
    simulation.kill('SIGTERM');
  }
}

/** Slurm's answers about as many nodes and jobs, made of real ones. */
async function simulateSlurm(cluster: Cluster): Promise<void> {
  await cluster.output('login', ['sbatch', '--nodes=1', '--time=60', '--wrap', 'sleep 3600'], { user: 'alice' });
  const ask = async (what: string) =>
    JSON.parse(await cluster.output('ctl', ['/usr/bin/scontrol', 'show', what, '--json'])) as Record<string, object[]>;
  const [[job], real] = [(await ask('jobs'))['jobs'] ?? [], (await ask('nodes'))['nodes'] ?? []];
  const jobs = Array.from({ length: nodes }, (_, index) => ({ ...job, job_id: 1000 + index }));
  const all = Array.from({ length: nodes }, (_, index) => ({ ...real.at(-1), name: `s${index + 1}` }));
  const at = (name: string) => cluster.testbed.path('ctl', `/run/rankshift/${name}`);
  writeFileSync(at('jobs.json'), JSON.stringify({ jobs }));
  writeFileSync(at('nodes.json'), JSON.stringify({ nodes: [...real, ...all] }));
  const answer = (what: string) => `"show ${what} --json") exec cat /run/rankshift/${what}.json ;;`;
  const script = `#!/bin/sh\ncase "$*" in\n${answer('jobs')}\n${answer('nodes')}\n*) exec /usr/bin/scontrol "$@" ;;\nesac\n`;
  writeFileSync(at('scontrol'), script);
  chmodSync(at('scontrol'), 0o755);
}
