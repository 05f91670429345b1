import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { RankshiftError } from '../errors.ts';

/** Number of the descriptor that `closedSocket` asks for. */
export const closedSocket = 3;

/**
 * Starts a program (argv array, no shell) that must outlive this process and is never killed by it: without pipes of
 * ours, in a session of its own, what it says in the file `messages`. With `closedSocket` it has descriptor 3, a socket whose other
 * end is closed. Resolves with its exit code, -1 after a signal.
 * @throws RankshiftError E_MISSING where it cannot be started.
 */
export async function runToItsEnd(
  file: string,
  args: readonly string[],
  messages: string,
  options: { closedSocket?: boolean } = {},
): Promise<number> {
  const output = openSync(messages, 'w', 0o600);
  try {
    const more = options.closedSocket === true ? (['pipe'] as const) : [];
    const child = spawn(file, [...args], { stdio: ['ignore', output, output, ...more], detached: true });
    (child.stdio[closedSocket] as Duplex | undefined)?.destroy();
    return await new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => resolve(code ?? -1));
      child.once('error', (cause) => reject(new RankshiftError('E_MISSING', `${file} cannot be started`, { cause })));
    });
  } finally {
    closeSync(output);
  }
}
