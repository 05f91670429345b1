import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { thermo } from '../../mpi-tests/lammps/thermo.ts';
import { untilNothingIsHeld } from '../../mpi-tests/support/allocation.ts';
import { Cluster } from '../../mpi-tests/support/cluster.ts';
import { groups, installIntoSlurm } from '../../mpi-tests/support/evacuation.ts';
import { endJobs, type Job, submitRun } from '../../mpi-tests/support/job.ts';
import { nodeOf } from '../../mpi-tests/support/move.ts';
import { until } from '../../mpi-tests/support/until.ts';
import { bringUp, takeDown } from '../../src/testbed/index.ts';
import { compareStories } from './stories.ts';

const every = 20;

await new Command('maintenance')
  .description(
    'A drain in Slurm alone empties the node of a running LAMMPS job, which is then rebooted; the job has to end as if it had not moved.',
  )
  .option('--steps <n>', 'steps of LAMMPS: long enough for all of it', wholeNumber, 20_000)
  .option('--profile <name>', 'of the testbed: plain or strict', 'strict')
  .showHelpAfterError()
  .action(async ({ steps, profile }: { steps: number; profile: string }) => {
    const testbed = `maintenance-${process.pid}`;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => void takeDown(testbed).finally(() => process.exit(130)));
    }
    try {
      const of = { profile: profile === 'plain' ? ('plain' as const) : ('strict' as const) };
      const config = { AllocationFollow: 'shadow' };
      const cluster = new Cluster(await bringUp({ name: testbed, services: true, ...of, config }));
      await cluster.untilReady();
      const wrong = await maintain(cluster, steps, profile !== 'plain');
      await endJobs(cluster);
      for (const what of wrong) console.log(`WRONG  ${what}`);
      if (wrong.length > 0) process.exitCode = 1;
      else console.log('all right');
    } finally {
      await takeDown(testbed);
    }
  })
  .parseAsync();

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('allowed is a whole number from 1');
  return Number(text);
}

/** @returns what was not as it has to be. */
async function maintain(cluster: Cluster, steps: number, sacct: boolean): Promise<string[]> {
  const started = performance.now();
  const say = (line: string) =>
    console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  const show = async (argv: string[], as: 'ctl' | 'login' = 'ctl') => {
    console.log(`\n$ ${argv.join(' ')}\n${await cluster.output(as, argv)}\n`);
  };
  const slurm = (...argv: string[]) => {
    say(`scontrol ${argv.join(' ')}`);
    return cluster.output('ctl', ['scontrol', ...argv]);
  };
  await installIntoSlurm(cluster, {});
  const home = join(cluster.testbed.paths.homeDir, 'alice');
  copyFileSync(join(import.meta.dirname, '../../mpi-tests/lammps/in.melt'), join(home, 'in.melt'));
  const melt = `lmp -in in.melt -log none -var cells 10 -var every ${every} -var steps ${steps}`;
  const progress = /^ +\d+ +-?\d/;

  const job = await submitRun(cluster, melt, { nodelist: 'n[1-2]' });
  await job.untilPrinted(progress, 3);
  say(`job ${job.id} runs: ${job.lines(progress).length} thermo lines, ${job.container(1)} on n2`);
  await slurm('update', 'NodeName=n2', 'State=DRAIN', 'Reason=maintenance');
  const emptied = await until(
    'n2 is emptied',
    async () => (await groups(cluster)).find(({ state }) => state !== 'active'),
    { timeoutMs: 120_000, pollMs: 200 },
  );
  say(
    `${emptied.id} (${emptied.origin}): ${emptied.state}; ${job.container(1)} on ${await nodeOf(cluster, job.container(1))}`,
  );
  await show(['rankshift', 'show', emptied.id]);
  await slurm('reboot', 'nextstate=resume', 'reason=maintenance', 'n2');
  await untilNode(cluster, 'rebooted', (state) => state.includes('REBOOT'));
  say('n2 reboots');
  await untilNode(cluster, 'back in service', (state) => state === 'IDLE');
  const runningStill = (await job.ended()) === undefined;
  say(
    `n2 is back in service, job ${job.id} ${runningStill ? `runs still: ${job.lines(progress).length} thermo lines` : 'has ended'}`,
  );
  await show(['squeue', '--format=%.6i %.18j %.8u %.8T %.10N']);
  await show(['sinfo', '-N']);
  const end = await job.untilEnded(900_000);
  say(`job ${job.id}: ${JSON.stringify(end)}`);
  await untilNothingIsHeld(cluster, 120_000);
  const stories = sacct ? await compareStories(cluster, job, show) : [];

  const unmoved = await submitRun(cluster, melt, { nodelist: 'n[1-2]' });
  const reference = await unmoved.untilEnded(900_000);
  say(`job ${unmoved.id}, not moved: ${JSON.stringify(reference)}`);
  const wrong = [
    ...(runningStill ? [] : [`job ${job.id} ended before n2 was back: more steps`]),
    ...(emptied.state === 'completed' ? [] : [`${emptied.id} is ${emptied.state}`]),
    ...[job, unmoved].flatMap((one, index) => endedWell(one, [end, reference][index]?.state, steps)),
    ...stories,
  ];
  const [moved, expected] = [thermo(job.stdout), thermo(unmoved.stdout)];
  const differ = expected.filter((line, index) => line !== moved[index]).length;
  if (differ > 0) wrong.push(`${differ} of ${expected.length} thermo lines differ from a run without moves`);
  else say(`${expected.length} thermo lines of job ${job.id} are those of job ${unmoved.id}, to the last bit`);
  return wrong;
}

function endedWell(job: Job, state: string | undefined, steps: number): string[] {
  const lines = thermo(job.stdout).length;
  return [
    ...(state === 'COMPLETED' ? [] : [`job ${job.id} is ${state}: ${job.stderr}`]),
    ...(lines === Math.floor(steps / every) + 1 ? [] : [`job ${job.id} printed ${lines} thermo lines`]),
  ];
}

async function untilNode(cluster: Cluster, what: string, is: (state: string) => boolean): Promise<void> {
  await until(
    `n2 is ${what}`,
    async () => {
      const text = await cluster.output('ctl', ['scontrol', '--oneliner', 'show', 'node', 'n2']);
      return is(/ State=(\S+)/.exec(text)?.[1] ?? '');
    },
    { timeoutMs: 120_000, pollMs: 50 },
  );
}
