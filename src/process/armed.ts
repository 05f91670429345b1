import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { RankshiftError } from '../errors.ts';
import type { RunResult } from './run.ts';

/** A program that was started before it is needed and waits for its standard input: its start costs nothing later. */
export interface Armed {
  /** Gives it its input and waits for its end. Once only. */
  fire(input: string, timeoutMs?: number): Promise<RunResult>;
  /** Lets it go without input. */
  drop(): void;
}

/** Starts a program (argv array, no shell) that does nothing before it reads its standard input. */
export function arm(file: string, args: readonly string[]): Armed {
  const child: ChildProcess = spawn(file, [...args], { stdio: 'pipe' });
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null)
    throw new RankshiftError('E_MISSING', `${file} cannot be started`);
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', (cause) => reject(new RankshiftError('E_MISSING', `${file} cannot be started`, { cause })));
    child.once('close', (code) => resolve(code ?? -1));
  });
  ended.catch(() => undefined);
  stdin.on('error', () => undefined);
  const output = Promise.all([text(stdout), text(stderr)]);
  output.catch(() => undefined);
  return {
    fire: async (input, timeoutMs = 20_000) => {
      const started = performance.now();
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      stdin.end(input);
      try {
        const exitCode = await ended;
        const [out, err] = await output;
        return { argv: [file, ...args], exitCode, stdout: out, stderr: err, ms: performance.now() - started };
      } finally {
        clearTimeout(timer);
      }
    },
    drop: () => void child.kill('SIGKILL'),
  };
}
