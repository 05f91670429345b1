import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decideGate, gateReached } from '../checkpoint/gate.ts';
import { migrationDir } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentContext } from './context.ts';
import type { Role } from './files.ts';
import { imageDirOf } from './local-handle.ts';

const pauseMs = 20;
const longestMs = 60_000;
/** A process in the middle of its execve(2) has no arguments for a moment: one look may miss it. */
const looks = 3;

/**
 * Waits until no runc or CRIU that an earlier agent started for this migration runs any more. They are never killed: a
 * CRIU killed in the middle of a dump leaves its parasite code in the ranks. The broken page stream ends a dump, the
 * decision at the gate ends a restore; it is given as often as it takes, since the restore may not be at its gate yet.
 * @throws RankshiftError E_TIMEOUT after a minute.
 */
export async function untilCriuEnded(
  context: AgentContext,
  role: Role,
  decision: 'open' | 'refuse' | null,
): Promise<void> {
  const directory = migrationDir(context.config, role.migration);
  const marks = [imageDirOf(context.config, role.migration)];
  const deadline = Date.now() + longestMs;
  for (let without = 0; ; ) {
    if (decision !== null && gateReached(directory)) await decideGate(directory, decision);
    without = (await anyCriuWith(marks)) ? 0 : without + 1;
    if (without === looks) return;
    if (Date.now() > deadline)
      throw new RankshiftError('E_TIMEOUT', `CRIU of migration ${role.migration} does not end`, { retryable: true });
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** True where a runc or CRIU, the program that starts it, or a script in its place has one of the texts among its arguments. */
export async function anyCriuWith(marks: readonly string[]): Promise<boolean> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    names.map((name) => readFile(join('/proc', name, 'cmdline'), 'utf8').catch(() => '')),
  );
  return lines.some((line) => {
    // Of a script the interpreter comes first.
    const programs = line.split('\0').slice(0, 2);
    return (
      programs.some((name) => /(^|\/)(runc|criu|rankshift-node)$/.test(name)) &&
      marks.some((mark) => line.includes(mark))
    );
  });
}
