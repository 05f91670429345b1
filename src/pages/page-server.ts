import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { patiently } from '../patience.ts';
import { lastLines } from '../process/run.ts';
import { pagesProcesses, signalAll } from './processes.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

const startMs = patiently(10_000);
const pauseMs = 20;
const longestFillMs = 3_600_000;

export interface PageServerOptions {
  /** The program rankshift-pages. */
  pages: string;
  /** What a PageStore has filled. */
  store: string;
  /** CRIU's work directory, where `criu restore --lazy-pages` looks for its server. */
  workDir: string;
  /** The restored container's cgroup directory, killed where its memory is lost. */
  cgroup: string;
}

/**
 * Fills the memory of a container that CRIU restores lazily: `rankshift-pages serve` (docs/pages.md). It does not end
 * with this process: a container that runs must get its pages.
 */
export interface PageServer {
  /** The container runs here for good: stored pages that were filled in are freed. */
  free(): void;
  /** CRIU stands at its gate: fills in everything now, and resolves when all is there. Rejects where that fails. */
  populate(): Promise<void>;
  /** Resolves when it has ended, however. */
  ended: Promise<void>;
}

/** Returns when it listens. @throws RankshiftError E_CRIU with what it said. */
export async function startPageServer({ pages, store, workDir, cgroup }: PageServerOptions): Promise<PageServer> {
  const server = startServerProcess(pages, ['serve', store, workDir, cgroup], workDir);
  await server.line(/"listening"/, startMs);
  return pageServer(server);
}

export const pageServer = ({ line, write, ended }: ServerProcess): PageServer => ({
  free: () => write('free\n'),
  populate: async () => {
    write('populate\n');
    await line(/"filled"/, longestFillMs);
  },
  ended: ended.then(() => undefined),
});

/** Process ids of the servers for restores whose work directory is this one. */
export const pageServersOf = (workDir: string) =>
  pagesProcesses((command, [, directory]) => (command === 'serve' || command === 'take') && directory === workDir);

/** Kills what serves a restore that was given up. @throws RankshiftError E_TIMEOUT, retryable. */
export async function killPageServers(workDir: string): Promise<void> {
  signalAll(await pageServersOf(workDir), 'SIGKILL');
  if (await untilPopulated(workDir, startMs)) return;
  throw new RankshiftError('E_TIMEOUT', 'what serves a restore does not end', { retryable: true });
}

/** Waits until a restored container has all its memory, or never will. False where that takes longer. */
export async function untilPopulated(workDir: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while ((await pageServersOf(workDir)).length > 0) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return true;
}

/** Why a restored container was killed for want of its memory; null where it was not. */
export async function whyLost(workDir: string): Promise<string | null> {
  if (!existsSync(join(workDir, 'lost'))) return null;
  const lines = lastLines(await readFile(join(workDir, 'serve.err'), 'utf8').catch(() => ''), 3);
  const reason = lines.find((line) => !line.includes('lacks memory')) ?? 'what filled its memory in was killed';
  return reason.replace(/^rankshift-pages \w+: /, '');
}

/** Says the same of a container that could not even be restored. */
export const markLost = (workDir: string) => writeFile(join(workDir, 'lost'), '', { mode: 0o600 });

/** Whether the pages of a post-copy have all come: then the store alone can serve a restore. */
export const storeIsWhole = (store: string) => existsSync(join(store, 'whole'));
