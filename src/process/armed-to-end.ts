import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { RankshiftError } from '../errors.ts';

/** Number of the descriptor that `third` asks for. */
export const thirdDescriptor = 3;

/** A program that waits for a line on its standard input, and outlives this process from then on. */
export interface ArmedToEnd {
  /** Gives it its line and waits for its end: its exit code, -1 after a signal. Once only. */
  fire(line: string): Promise<number>;
  /** Lets it go without a line; it ends by itself. Nothing after fire. */
  drop(): void;
}

/**
 * Starts a program (argv array, no shell) ahead of time that must never be killed once it works: in a session of its own,
 * what it says in the file `messages`. It must end when its standard input ends without a line, as it does when this
 * process dies. `third`: its descriptor 3, a descriptor of this process, or a socket whose other end is closed. `env`: added to
 * this process's environment.
 */
export function armToEnd(
  file: string,
  args: readonly string[],
  messages: string,
  { third, env = {} }: { third?: number | 'closed socket' | undefined; env?: Record<string, string> } = {},
): ArmedToEnd {
  const output = openSync(messages, 'w', 0o600);
  try {
    const more = third === undefined ? [] : [third === 'closed socket' ? ('pipe' as const) : third];
    const child = spawn(file, [...args], {
      ...{ stdio: ['pipe', output, output, ...more], detached: true },
      env: { ...process.env, ...env },
    });
    if (third === 'closed socket') (child.stdio[thirdDescriptor] as Duplex | undefined)?.destroy();
    child.stdin?.on('error', () => undefined);
    const ended = new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => resolve(code ?? -1));
      child.once('error', (cause) => reject(new RankshiftError('E_MISSING', `${file} cannot be started`, { cause })));
    });
    ended.catch(() => undefined);
    let fired = false;
    return {
      fire: (line) => {
        fired = true;
        child.stdin?.end(`${line}\n`);
        return ended;
      },
      drop: () => {
        if (!fired) child.stdin?.destroy();
      },
    };
  } finally {
    closeSync(output);
  }
}
