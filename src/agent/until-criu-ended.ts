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
  for (;;) {
    if (decision !== null && gateReached(directory)) await decideGate(directory, decision);
    if (!(await anyProcessWith(marks))) return;
    if (Date.now() > deadline)
      throw new RankshiftError('E_TIMEOUT', `CRIU of migration ${role.migration} does not end`, { retryable: true });
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** True where a runc or CRIU process has one of the texts among its arguments or runs in a directory of it. */
async function anyProcessWith(marks: string[]): Promise<boolean> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    names.map((name) => readFile(join('/proc', name, 'cmdline'), 'utf8').catch(() => '')),
  );
  return lines.some((line) => {
    const program = line.slice(0, line.indexOf('\0'));
    return /(^|\/)(runc|criu|rankshift-node)$/.test(program) && marks.some((mark) => line.includes(mark));
  });
}
