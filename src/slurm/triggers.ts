import { userInfo } from 'node:os';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';
import type { NodeEvent } from './install-plan.ts';

const deadlineMs = 20_000;

/** strigger(1) as SlurmUser, who alone may set triggers of nodes. @throws RankshiftError E_SLURM, E_MISSING. */
async function strigger(slurmUser: string, args: readonly string[]): Promise<string> {
  const as = userInfo().username === slurmUser ? [] : ['/usr/sbin/runuser', '-u', slurmUser, '--'];
  const [file = 'strigger', ...rest] = [...as, 'strigger', ...args];
  const { exitCode, stdout, stderr } = await run(file, rest, { timeoutMs: deadlineMs, allow: 'any' });
  if (exitCode === 0) return stdout;
  throw new RankshiftError(
    'E_SLURM',
    `Slurm refuses a trigger of ${slurmUser}: ${stderr.trim() || `exit ${exitCode}`}`,
    {
      action: 'Only SlurmUser may set triggers of nodes: set SlurmUser= in rankshift.conf to the one of slurm.conf.',
      lines: stderr.split('\n').filter((line) => line !== ''),
    },
  );
}

/** Programs of the triggers that are set -> their numbers. */
export async function triggersSet(slurmUser: string): Promise<Map<string, string>> {
  const text = await strigger(slurmUser, ['--get', '--noheader']);
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
  return new Map(rows.filter((row) => row.length > 2).map((row) => [row.at(-1) ?? '', row[0] ?? '']));
}

/** A trigger that stays. */
export async function setTrigger(slurmUser: string, event: NodeEvent, program: string): Promise<void> {
  await strigger(slurmUser, ['--set', '--node', `--${event}`, '--flags=perm', `--program=${program}`]);
}

export async function clearTrigger(slurmUser: string, id: string): Promise<void> {
  await strigger(slurmUser, ['--clear', `--id=${id}`, '--quiet']);
}
