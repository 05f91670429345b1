import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { RankshiftError } from '../errors.ts';

/** A long-running program with a socket as its file descriptor 3. */
export interface SocketProcess {
  pid: number;
  /** Our end of the socket pair. */
  socket: Duplex;
  /** Ends with the exit code, or -1 where a signal ended it. */
  exited: Promise<number>;
  kill(): void;
}

/** Starts a program (argv array, no shell; standard error into the file `messages`) that finds one end of a socket pair at file descriptor 3. */
export function spawnWithSocket(file: string, messages: string, args: readonly string[]): SocketProcess {
  const stderr = openSync(messages, 'w', 0o600);
  // In a process group of its own: a signal to the agent's must not reach a CRIU at work.
  const child: ChildProcess = spawn(file, [...args], { stdio: ['ignore', 'ignore', stderr, 'pipe'], detached: true });
  closeSync(stderr);
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code) => resolve(code ?? -1));
    child.once('error', () => resolve(-1));
  });
  const socket = child.stdio[3] as Duplex | null | undefined;
  if (child.pid === undefined || socket == null) throw new RankshiftError('E_MISSING', `${file} cannot be started`);
  return { pid: child.pid, socket, exited, kill: () => void child.kill('SIGKILL') };
}
