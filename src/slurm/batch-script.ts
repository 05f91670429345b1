import type { Config } from '../config.ts';
import { run } from '../process/run.ts';
import { scontrolDeadlineMs } from './ask.ts';

/**
 * The batch script of a job as Slurm keeps it, for root, SlurmUser and its owner. Empty for a job without one (salloc), and
 * for one that Slurm has forgotten.
 */
export async function batchScript({ scontrolPath }: Pick<Config, 'scontrolPath'>, job: number): Promise<string> {
  const args = ['write', 'batch_script', String(job), '-'];
  const { stdout, exitCode } = await run(scontrolPath, args, { timeoutMs: scontrolDeadlineMs, allow: 'any' });
  return exitCode === 0 ? stdout : '';
}
