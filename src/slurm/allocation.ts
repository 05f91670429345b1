import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expandHostlist, foldHostlist } from './hostlist.ts';
import { runSlurm, type SlurmPrograms } from './programs.ts';

/**
 * Takes nodes out of a running job: those that stay are named. Steps of Slurm on the others are killed, and their Epilog
 * runs. The host of the job's script cannot leave.
 * @throws RankshiftError E_SLURM.
 */
export async function shrinkJob(config: SlurmPrograms, job: number, nodes: readonly string[]): Promise<void> {
  // scontrol may leave scripts for the job's environment where it runs (man scontrol, "resize").
  const scratch = await mkdtemp(join(tmpdir(), 'rankshift-shrink-'));
  try {
    await update(config, job, [`NodeList=${foldHostlist([...nodes])}`], scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Only root, SlurmUser and operators may write it; squeue -O AdminComment, scontrol and sacct show it. */
export async function setAdminComment(config: SlurmPrograms, job: number, text: string): Promise<void> {
  await update(config, job, [`AdminComment=${text}`]);
}

/**
 * Nodes with steps of a job that srun started: neither its script nor the step that Slurm keeps for PrologFlags=Contain.
 * @throws RankshiftError E_SLURM.
 */
export async function stepNodes(config: SlurmPrograms, job: number): Promise<string[]> {
  const args = ['--noheader', '--steps', `--jobs=${job}`, '--format=%i|%N'];
  const { stdout } = await runSlurm(config, 'squeue', args);
  return readStepNodes(stdout);
}

/** Lines `42.0|n[1-2]` of squeue. */
export function readStepNodes(text: string): string[] {
  const nodes = text.split('\n').flatMap((line) => {
    const [step, list] = line.trim().split('|');
    return step !== undefined && /\.\d+$/.test(step) ? expandHostlist(list ?? '') : [];
  });
  return [...new Set(nodes)];
}

async function update(config: SlurmPrograms, job: number, changes: string[], cwd = '/'): Promise<void> {
  await runSlurm(config, 'scontrol', ['update', `JobId=${job}`, ...changes], { cwd });
}

/**
 * Puts the nodes of one job of a user into another of his (man salloc, --dependency=expand): the first ends. Only where
 * SchedulerParameters has permit_job_expansion.
 * @throws RankshiftError E_SLURM.
 */
export async function mergeInto(config: SlurmPrograms, from: number): Promise<void> {
  await update(config, from, ['NumNodes=0']);
}
