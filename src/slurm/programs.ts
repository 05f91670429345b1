import { dirname, join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { type RunOptions, type RunResult, run } from '../process/run.ts';
import { scontrolDeadlineMs } from './ask.ts';

/** Where the configuration says that scontrol is; its siblings lie beside it. */
export type SlurmPrograms = { scontrolPath: string };
type Program = 'scontrol' | 'salloc' | 'sbatch' | 'scancel' | 'squeue';

/** Path of one of Slurm's programs, or its name where PATH has to find it. */
export function slurmProgram({ scontrolPath }: SlurmPrograms, name: Program): string {
  if (name === 'scontrol') return scontrolPath;
  return scontrolPath.includes('/') ? join(dirname(scontrolPath), name) : name;
}

/** Whether that is what Slurm's programs say where slurmctld is away, and not a refusal. */
export function isSilence(said: string): boolean {
  return /Unable to contact|timed out|Connection refused/i.test(said);
}

/**
 * Runs one of Slurm's programs.
 * @throws RankshiftError E_SLURM where it fails or does not end in time, E_MISSING where it is absent.
 */
export async function runSlurm(
  config: SlurmPrograms,
  name: Program,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  try {
    return await run(slurmProgram(config, name), args, { timeoutMs: scontrolDeadlineMs, cwd: '/', ...options });
  } catch (cause) {
    const error = RankshiftError.from(cause);
    if (error.code === 'E_MISSING') throw error;
    throw new RankshiftError('E_SLURM', `Slurm did not do it: ${error.message}`, { retryable: true, cause });
  }
}
