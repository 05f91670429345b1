import { Command, InvalidArgumentError } from 'commander';
import { Cluster } from '../mpi-tests/support/cluster.ts';
import { endJobs } from '../mpi-tests/support/job.ts';
import { bringUp, takeDown } from '../src/testbed/index.ts';
import { balanceCost } from './balance-cost.ts';
import type { Benchmark, BenchmarkOptions, ComputingBenchmark } from './benchmark.ts';
import { clock } from './clock.ts';
import { criuPreCopy } from './criu-pre-copy.ts';
import { downtime } from './downtime.ts';
import { evacuate } from './evacuate.ts';
import { fleet } from './fleet.ts';
import { group } from './group.ts';
import { idle } from './idle.ts';
import { layers } from './layers.ts';
import { links } from './links.ts';
import { describeMachine, load } from './measure/machine.ts';
import { writePlot } from './measure/plot.ts';
import { type Measured, writeResult } from './measure/result.ts';
import { memory } from './memory.ts';
import { planner } from './planner.ts';
import { prediction } from './prediction.ts';
import { shim } from './shim.ts';
import { stall } from './stall.ts';
import { strategiesBenchmark } from './strategies.ts';
import { tracker } from './tracker.ts';

const benchmarks: Record<string, Benchmark | ComputingBenchmark> = {
  stall,
  clock,
  downtime,
  strategies: strategiesBenchmark,
  prediction,
  'criu-pre-copy': criuPreCopy,
  links,
  layers,
  group,
  tracker,
  shim,
  idle,
  memory,
  planner,
  'balance-cost': balanceCost,
  fleet,
  evacuate,
};
const list = Object.entries(benchmarks).map(([name, { about }]) => `  ${name.padEnd(14)}${about}`);

await new Command('bench')
  .description('Measures Rankshift on a testbed of its own, and beside it what it is compared with.')
  .argument('<name>', Object.keys(benchmarks).join(', '))
  .option('--rounds <n>', 'how often each thing is measured', (text) => {
    if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('allowed is a whole number from 1');
    return Number(text);
  })
  .option('--quick', 'fewer rounds and smaller sizes, for a look', false)
  .addHelpText('after', `\nBenchmarks:\n${list.join('\n')}`)
  .showHelpAfterError()
  .action(async (name: string, options: { rounds?: number; quick: boolean }, command: Command) => {
    const benchmark = benchmarks[name];
    if (benchmark === undefined) return command.error(`error: there is no benchmark ${name}`, { exitCode: 2 });
    await run(name, benchmark, options.rounds, options.quick);
  })
  .parseAsync();

async function run(
  name: string,
  benchmark: Benchmark | ComputingBenchmark,
  rounds: number | undefined,
  quick: boolean,
): Promise<void> {
  const say = (line: string) => console.error(`${name}: ${line}`);
  const options = { rounds, quick, say };
  if ('compute' in benchmark) report(name, quick, await timed(() => benchmark.compute(options)), {});
  else await runOnTestbed(name, benchmark, options);
}

async function runOnTestbed(name: string, benchmark: Benchmark, options: BenchmarkOptions): Promise<void> {
  const testbed = `bench-${name}-${process.pid}`;
  // An interrupted benchmark leaves no testbed behind.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => void takeDown(testbed).finally(() => process.exit(130)));
  }
  try {
    let versions: Record<string, string> = {};
    const run = await timed(async () => {
      const cluster = new Cluster(
        await bringUp({
          name: testbed,
          services: true,
          ...benchmark.testbed,
          // What is measured is the move; how long Slurm takes to hold a node is its own affair.
          config: { AllocationFollow: 'none', ...benchmark.testbed?.config },
          progress: options.say,
          ...(benchmark.privateImages === undefined ? {} : { privateImages: benchmark.privateImages }),
          ...(benchmark.stateSize === undefined ? {} : { stateSize: benchmark.stateSize }),
          ...(benchmark.cpusPerNode === undefined ? {} : { cpusPerNode: benchmark.cpusPerNode }),
        }),
      );
      await cluster.untilReady();
      versions = await versionsOf(cluster);
      const measured = await benchmark.measure(cluster, options);
      await endJobs(cluster);
      return measured;
    });
    report(name, options.quick, run, versions);
  } finally {
    await takeDown(testbed);
  }
}

interface Run {
  measured: Measured;
  seconds: number;
  loadBefore: number;
}

async function timed(measure: () => Promise<Measured>): Promise<Run> {
  const started = performance.now();
  const loadBefore = load();
  const measured = await measure();
  return { measured, seconds: Math.round((performance.now() - started) / 1000), loadBefore };
}

/** Writes the result, and says whether the targets were met; where not, the exit code says so too. */
function report(name: string, quick: boolean, run: Run, versions: Record<string, string>): void {
  const { plot, ...measured } = run.measured;
  const file = writeResult({
    version: 1,
    benchmark: name,
    measuredAt: new Date().toISOString().slice(0, 10),
    seconds: run.seconds,
    quick,
    machine: describeMachine(),
    loadBefore: run.loadBefore,
    versions,
    ...measured,
  });
  for (const note of measured.notes) console.log(`note: ${note}`);
  for (const { what, wanted, measured: value, met } of measured.targets) {
    console.log(`${met ? 'met   ' : 'MISSED'}  ${what}: ${value} (target ${wanted})`);
  }
  if (plot !== undefined) console.log(`drawn to ${writePlot(quick ? `${name}.quick` : name, plot)}`);
  console.log(`written to ${file}`);
  if (!quick && measured.targets.some(({ met }) => !met)) process.exitCode = 1;
}

async function versionsOf(cluster: Cluster): Promise<Record<string, string>> {
  const first = async (argv: string[]) => /\d+(\.\d+)+/.exec(await cluster.output('n1', argv))?.[0] ?? 'unknown';
  const [criu, runc, podman] = await Promise.all([
    first(['criu', '--version']),
    first(['runc', '--version']),
    first(['podman', '--version']),
  ]);
  return { criu, runc, podman };
}
