import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../support/cluster.ts';
import { type Job, type SubmitOptions, submit, submitRun } from '../support/job.ts';
import { nodeOf } from '../support/move.ts';

/** Between two lines of progress, and between two frames of energies and trajectory. */
export const waterEvery = 40;
export const waterProgress = /\bstep \d+/;

const run = '--image gromacs';
const home = (cluster: Cluster) => join(cluster.testbed.paths.homeDir, 'alice');

/** Makes water.tpr in alice's home, the input of all runs, in a job of one rank: GROMACS's own molecules and force field. */
export async function prepareWater(cluster: Cluster): Promise<void> {
  for (const file of ['water.mdp', 'water.top'])
    copyFileSync(join(import.meta.dirname, file), join(home(cluster), file));
  const genconf = 'gmx_mpi -quiet genconf -f /usr/share/gromacs/top/spc216.gro -nbox 2 1 1 -o water.gro';
  const grompp = 'gmx_mpi -quiet grompp -f water.mdp -c water.gro -p water.top -o water.tpr';
  const job = await submitRun(cluster, `sh -c '${genconf} && ${grompp}'`, { nodes: 1, run });
  const end = await job.untilEnded();
  if (end.state !== 'COMPLETED') throw new Error(`no water.tpr: ${job.all}`);
}

/**
 * Starts a run in a directory of its own. Nothing in it depends on time: no balancing and no tuning by measured speed, no
 * choice among algorithms by it (`-reprod`), so that each run with so many ranks gives the same to the last bit.
 * @param steps until it is told to end where absent
 */
export async function startWater(cluster: Cluster, options: SubmitOptions, steps?: number): Promise<Job> {
  const mdrun = [
    `gmx_mpi -quiet mdrun -s ../water.tpr -noconfout -v -stepout ${waterEvery} -nstlist ${waterEvery}`,
    '-reprod -ntomp 1 -nb cpu -pin off -notunepme -dlb no',
    ...(steps === undefined ? [] : [`-nsteps ${steps}`]),
  ].join(' ');
  const script = [
    'set -o pipefail',
    'mkdir water-$SLURM_JOB_ID && cd water-$SLURM_JOB_ID',
    // Its lines of progress end in carriage returns.
    `rankshift run ${run} -- ${mdrun} 2>&1 | stdbuf -oL tr '\\r' '\\n'`,
  ].join('\n');
  return await submit(cluster, script, options);
}

/** Ends a run before its time: one rank is told, all agree on the step. The exit code is then 1. */
export async function stopWater(cluster: Cluster, job: Job): Promise<void> {
  const node = await nodeOf(cluster, job.container(0));
  await cluster.output(node, ['pkill', '-TERM', '--newest', '--exact', 'gmx_mpi']);
}

/** What the run of a job left: its files with all their bits, and what its log says. */
export function waterResults(cluster: Cluster, job: number) {
  const read = (file: string) => readFileSync(join(home(cluster), `water-${job}`, file));
  const log = read('md.log').toString();
  return {
    energies: read('ener.edr'),
    trajectory: read('traj.trr'),
    finished: /^Finished mdrun on rank 0 /m.test(log),
    lastStep: Number([...log.matchAll(/^ +Step +Time\n +(\d+) /gm)].at(-1)?.[1]),
    /** By GROMACS's own account; NaN where it gives none. */
    wallSeconds: Number(/^ +Time: +[\d.]+ +([\d.]+)/m.exec(log)?.[1]),
  };
}
