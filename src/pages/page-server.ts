import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RankshiftError } from '../errors.ts';
import { lastLines } from '../process/run.ts';

const startMs = 10_000;
const pauseMs = 20;

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
  /** Resolves when it has ended, however. */
  ended: Promise<void>;
}

/** Returns when it listens. @throws RankshiftError E_CRIU with what it said. */
export async function startPageServer({ pages, store, workDir, cgroup }: PageServerOptions): Promise<PageServer> {
  const messages = join(workDir, 'serve.err');
  const log = openSync(messages, 'w', 0o600);
  const child = spawn(pages, ['serve', store, workDir, cgroup], { stdio: ['pipe', 'pipe', log], detached: true });
  closeSync(log);
  child.unref();
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new RankshiftError('E_MISSING', `${pages} cannot be started`);
  stdin.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  const drop = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  const listening = new Promise<boolean>((resolve) => {
    createInterface({ input: stdout }).on('line', (line) => resolve(line.includes('listening')));
    void ended.then(() => resolve(false));
    setTimeout(() => resolve(false), startMs).unref();
  });
  if (!(await listening)) {
    drop();
    const lines = lastLines(await readFile(messages, 'utf8').catch(() => ''), 3);
    throw new RankshiftError('E_CRIU', `the restored memory cannot be served: ${lines[0] ?? 'no reason given'}`, {
      lines,
    });
  }
  return { free: () => void stdin.write('free\n'), ended };
}

/** Process ids of the servers for restores whose work directory is this one. */
export async function pageServersOf(workDir: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const [program = '', command, , directory] = line.split('\0');
      return program.endsWith('/rankshift-pages') && command === 'serve' && directory === workDir;
    }),
  );
  return pids.filter((_pid, index) => found[index]);
}

/** Kills what serves a restore that was given up. */
export async function killPageServers(workDir: string): Promise<void> {
  for (const pid of await pageServersOf(workDir)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  await untilPopulated(workDir, startMs);
}

/** Waits until a restored container has all its memory. @throws RankshiftError E_TIMEOUT, retryable. */
export async function untilPopulated(workDir: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while ((await pageServersOf(workDir)).length > 0) {
    if (performance.now() > deadline) {
      throw new RankshiftError('E_TIMEOUT', 'the memory of the container is still being filled in', {
        retryable: true,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
