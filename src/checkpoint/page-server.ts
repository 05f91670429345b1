import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { RankshiftError } from '../errors.ts';
import { type SocketProcess, spawnWithSocket } from '../process/spawn.ts';
import { readCriuLogErrors } from './images/log.ts';

/** CRIU's page server of one restore: takes pages from a socket into the image directory. */
export interface PageServer {
  socket: Duplex;
  pid: number;
  /** Resolves when all pages are in the image directory; E_CRIU where it failed. */
  done: Promise<void>;
  kill(): void;
}

/**
 * Starts `criu page-server` with the socket handed over as a descriptor (`--ps-socket`), so that no port is open.
 * It stands ready before the freeze.
 */
export function startPageServer(criu: string, imageDir: string, workDir: string): PageServer {
  const args = [
    'page-server',
    '--images-dir',
    imageDir,
    '--work-dir',
    workDir,
    '--ps-socket',
    '3',
    '-v2',
    '-o',
    'page-server.log',
  ];
  const child: SocketProcess = spawnWithSocket(criu, join(workDir, 'page-server.err'), args);
  const done = child.exited.then(async (code) => {
    if (code === 0) return;
    const lines = await readCriuLogErrors(join(workDir, 'page-server.log'));
    throw new RankshiftError(
      'E_CRIU',
      `the page server of CRIU failed (exit ${code}): ${lines[0] ?? 'no reason given'}`,
      { lines },
    );
  });
  done.catch(() => undefined);
  return { socket: child.socket, pid: child.pid, done, kill: child.kill };
}
