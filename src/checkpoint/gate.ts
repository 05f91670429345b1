import { constants, existsSync } from 'node:fs';
import { type FileHandle, open, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';

/**
 * The target's gate. `rankshift-node gate DIR` (docs/c-programs.md) runs as CRIU's action script: at post-restore it creates DIR/gate.ready
 * and waits for a word in the FIFO DIR/gate.fifo, however long that takes, whoever writes it. So the restored copy stands
 * until a decision is known, also when the agent that started it is gone.
 *   `open`   -> the container runs.
 *   `refuse` -> CRIU kills what it restored.
 */
export const gateScript = (directory: string) => join(directory, 'rankshift-gate');

/** Makes FIFO and script of a gate; before the restore. The script is a link by whose place it knows its directory. */
export async function makeGate(directory: string, nodeProgram: string): Promise<void> {
  if (!existsSync(join(directory, 'gate.fifo'))) await run('mkfifo', ['-m', '600', join(directory, 'gate.fifo')]);
  if (!existsSync(gateScript(directory))) await symlink(nodeProgram, gateScript(directory));
}

export function gateReached(directory: string): boolean {
  return existsSync(join(directory, 'gate.ready'));
}

/** Waits until CRIU stands at the gate, or `ended` (the restore itself) ends before: then rethrows its error. */
export async function untilGate(directory: string, ended: Promise<void>): Promise<void> {
  let over = false;
  let failure: unknown = new RankshiftError('E_CRIU', 'the restore ended without reaching its gate');
  ended.then(
    () => {
      over = true;
    },
    (error) => {
      failure = error;
      over = true;
    },
  );
  while (!gateReached(directory)) {
    if (over) throw failure;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Whether CRIU stands at the gate now. The gate ends with it. */
export async function gateStands(directory: string): Promise<boolean> {
  return await atGate(directory, async () => undefined);
}

/** Gives the decision. False where nobody waits at the gate (no reader on the FIFO). */
export async function decideGate(directory: string, word: 'open' | 'refuse'): Promise<boolean> {
  return await atGate(directory, async (fifo) => {
    await fifo.write(`${word}\n`);
  });
}

async function atGate(directory: string, act: (fifo: FileHandle) => Promise<void>): Promise<boolean> {
  try {
    const fifo = await open(join(directory, 'gate.fifo'), constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      await act(fifo);
    } finally {
      await fifo.close();
    }
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENXIO' || code === 'ENOENT' || code === 'EPIPE') return false;
    throw error;
  }
}

/** CRIU's stages as the gate saw them: name -> Unix time in nanoseconds (the last, where one came twice). */
export async function gateLog(directory: string): Promise<Map<string, bigint>> {
  const text = await readFile(join(directory, 'gate.log'), 'utf8').catch(() => '');
  const entries = text
    .split('\n')
    .map((line) => /^([a-z-]+) (\d+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name = '', at = '0']) => [name, BigInt(at)] as const);
  return new Map(entries);
}
