import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { RankshiftError } from '../errors.ts';

/**
 * Starts a program (argv array, no shell) that must outlive this process and is never killed by it: without pipes of
 * ours, in a session of its own, what it says in the file `messages`. Resolves with its exit code, -1 after a signal.
 * @throws RankshiftError E_MISSING where it cannot be started.
 */
export async function runToItsEnd(file: string, args: readonly string[], messages: string): Promise<number> {
  const output = openSync(messages, 'w', 0o600);
  try {
    const child = spawn(file, [...args], { stdio: ['ignore', output, output], detached: true });
    return await new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => resolve(code ?? -1));
      child.once('error', (cause) => reject(new RankshiftError('E_MISSING', `${file} cannot be started`, { cause })));
    });
  } finally {
    closeSync(output);
  }
}
