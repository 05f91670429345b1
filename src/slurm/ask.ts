import type { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { type RunResult, run } from '../process/run.ts';

/** scontrol waits MessageTimeout (10 s by default) for slurmctld and asks its backup then; longer is a hang. */
export const scontrolDeadlineMs = 25_000;

export interface AskOptions {
  /** @defaultValue scontrolDeadlineMs */
  timeoutMs?: number;
  signal?: AbortSignal;
  log?: (result: RunResult) => void;
}

/**
 * Asks scontrol for JSON and reads the answer with a schema.
 * @throws RankshiftError E_SLURM where Slurm does not answer in time, refuses, or answers in another shape;
 * E_MISSING where scontrol is absent.
 */
export async function askScontrol<T extends z.ZodType>(
  scontrol: string,
  args: readonly string[],
  schema: T,
  options: AskOptions = {},
): Promise<z.output<T>> {
  const answer = await runScontrol(scontrol, args, options);
  return readAnswer([scontrol, ...args].join(' '), answer.stdout, schema);
}

/** Runs scontrol. @throws RankshiftError E_SLURM where it fails or takes too long, E_MISSING where it is absent. */
export async function runScontrol(
  scontrol: string,
  args: readonly string[],
  { timeoutMs = scontrolDeadlineMs, ...rest }: AskOptions = {},
): Promise<RunResult> {
  try {
    return await run(scontrol, [...args], { ...rest, timeoutMs });
  } catch (cause) {
    const error = RankshiftError.from(cause);
    if (error.code === 'E_MISSING') throw error;
    throw new RankshiftError('E_SLURM', `Slurm gave no answer: ${error.message}`, {
      retryable: true,
      cause,
      ...(error.details.lines === undefined ? {} : { lines: error.details.lines }),
    });
  }
}

function readAnswer<T extends z.ZodType>(command: string, stdout: string, schema: T): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch (cause) {
    throw new RankshiftError('E_SLURM', `${command}: the answer is not JSON`, {
      action: 'Check that Slurm is 23.02 or later and that its JSON serializer plugin is installed.',
      cause,
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new RankshiftError('E_SLURM', `${command}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'bad shape'}`, {
    action: 'This release of Slurm answers in a shape that Rankshift does not know: report it.',
    cause: parsed.error,
  });
}
