import { readdir, readFile } from 'node:fs/promises';

/** Process ids of rankshift-pages with these arguments: the subcommand, and others by their position. */
export async function pagesProcesses(wanted: (command: string, args: string[]) => boolean): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const [program = '', command = '', ...args] = line.split('\0');
      return program.endsWith('/rankshift-pages') && wanted(command, args);
    }),
  );
  return pids.filter((_pid, index) => found[index]);
}

/** Sends a signal to those that are still there. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended.
    }
  }
}
