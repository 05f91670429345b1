import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepareWater, startWater, waterEvery, waterProgress, waterResults } from '../../mpi-tests/gromacs/water.ts';
import { thermo } from '../../mpi-tests/lammps/thermo.ts';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { type Job, submitRun } from '../../mpi-tests/support/job.ts';
import { repeatsOf } from '../../mpi-tests/support/repeats.ts';

/** A program that is moved about, and how its results are proven right. */
export interface Program {
  about: string;
  /** A line of output that shows that it goes on. */
  progress: RegExp;
  start(cluster: Cluster): Promise<Job>;
  /** What a run that was never moved gives, as text to compare with. */
  reference(cluster: Cluster): Promise<string>;
  /** Too near its end for another move. */
  nearEnd(job: Job): boolean;
  /** Ends the run, and says what is wrong with its results; nothing where all is right. */
  check(job: Job, reference: string): Promise<string[]>;
}

/** Two ranks on two nodes; the third node is the first target. */
const nodes = { nodelist: 'n1,n2' };
/** Of a run that ends by itself, also on a machine that others use. */
const longestMs = 600_000;
const binaries = '/opt/rankshift-tests/bin';

/** A kernel of the NAS parallel benchmarks: repeats until it is told to end, each repeat with the same results. */
function kernel(name: string, size: string): Program {
  return {
    about: `NPB ${name.toUpperCase()} class ${size}`,
    progress: /^iteration /,
    start: (cluster) => submitRun(cluster, `${binaries}/${name} ${size} --seconds 3600 --drift`, nodes),
    reference: async (cluster) => {
      const job = await submitRun(cluster, `${binaries}/${name} ${size}`, nodes);
      await endedWell(job);
      return repeatsOf(job)[0] ?? '';
    },
    nearEnd: () => false,
    check: async (job, reference) => {
      const end = await job.finish();
      const wrong = end.state === 'COMPLETED' && end.verified === 1 ? [] : [`job ${job.id}: ${JSON.stringify(end)}`];
      const repeats = repeatsOf(job);
      const other = repeats.filter((text) => text !== reference).length;
      if (repeats.length === 0 || reference === '') wrong.push(`job ${job.id} gave no values`);
      if (other > 0) wrong.push(`job ${job.id}: ${other} of ${repeats.length} repeats differ from a run without moves`);
      return wrong;
    },
  };
}

const meltSteps = 8000;
const meltEvery = 20;

/** A Lennard-Jones melt; every line of its thermodynamics with all its bits. */
const lammps: Program = {
  about: `LAMMPS melt, 4,000 atoms, ${meltSteps} steps`,
  progress: /^ +\d+ +-?\d/,
  start: (cluster) => {
    const home = join(cluster.testbed.paths.homeDir, 'alice');
    copyFileSync(join(import.meta.dirname, '../../mpi-tests/lammps/in.melt'), join(home, 'in.melt'));
    const variables = `-var cells 10 -var every ${meltEvery} -var steps ${meltSteps}`;
    return submitRun(cluster, `lmp -in in.melt -log none ${variables}`, nodes);
  },
  reference: async (cluster) => {
    const job = await lammps.start(cluster);
    await endedWell(job);
    return thermo(job.stdout).join('\n');
  },
  nearEnd: (job) => job.lines(lammps.progress).length * meltEvery > meltSteps * 0.85,
  check: async (job, reference) => {
    const end = await job.untilEnded(longestMs);
    const text = thermo(job.stdout).join('\n');
    return [
      ...(end.state === 'COMPLETED' ? [] : [`job ${job.id}: ${JSON.stringify(end)}`]),
      ...(text.split('\n').length === meltSteps / meltEvery + 1 ? [] : [`job ${job.id}: thermo lines are missing`]),
      ...(text === reference ? [] : [`job ${job.id}: thermo differs from a run without moves`]),
    ];
  },
};

const waterSteps = 8000;

/** Water; every energy, position and velocity with all its bits. */
const gromacs: Program = {
  about: `GROMACS water, 1,296 atoms with PME, ${waterSteps} steps`,
  progress: waterProgress,
  start: (cluster) => startWater(cluster, nodes, waterSteps),
  reference: async (cluster) => {
    await prepareWater(cluster);
    const job = await gromacs.start(cluster);
    await endedWell(job);
    return String(job.id);
  },
  nearEnd: (job) => job.lines(gromacs.progress).length * waterEvery > waterSteps * 0.85,
  check: async (job, reference) => {
    const end = await job.untilEnded(longestMs);
    if (end.state !== 'COMPLETED') return [`job ${job.id}: ${JSON.stringify(end)}`];
    const { lastStep, energies, trajectory } = waterResults(job.cluster, job.id);
    const expected = waterResults(job.cluster, Number(reference));
    return [
      ...(lastStep === waterSteps ? [] : [`job ${job.id} ended at step ${lastStep}`]),
      ...(energies.equals(expected.energies) ? [] : [`job ${job.id}: energies differ from a run without moves`]),
      ...(trajectory.equals(expected.trajectory) ? [] : [`job ${job.id}: frames differ from a run without moves`]),
    ];
  },
};

/** A program of ours that checks itself and measures what is asked of the service. */
function measuring(about: string, line: string, progress: RegExp): Program {
  return {
    about,
    progress,
    start: (cluster) => submitRun(cluster, `${binaries}/${line}`, nodes),
    reference: async () => '',
    nearEnd: () => false,
    check: async (job) => {
      const end = await job.finish();
      return end.state === 'COMPLETED' && end.verified === 1 ? [] : [`job ${job.id}: ${JSON.stringify(end)}`];
    },
  };
}

async function endedWell(job: Job): Promise<void> {
  const end = await job.untilEnded(longestMs);
  if (end.state !== 'COMPLETED') throw new Error(`job ${job.id}, which was not moved: ${JSON.stringify(end)}`);
}

export const programs: Record<string, Program> = {
  cg: kernel('cg', 'A'),
  mg: kernel('mg', 'W'),
  ep: kernel('ep', 'W'),
  is: kernel('is', 'A'),
  ft: kernel('ft', 'W'),
  lammps,
  gromacs,
  stress: measuring(
    'memhog, 64 MiB a rank, 20 % written each second',
    'memhog --seconds 3600 --mib 64 --step-ms 5 --dirty-percent 20 --gap-ms 30',
    /"event":"progress"/,
  ),
  allreduce: measuring(
    'an allreduce each millisecond',
    'allreduce --seconds 3600 --gap-ms 20 --pause-us 1000',
    /"event":"progress"/,
  ),
};
