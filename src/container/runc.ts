import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { atNormalPriority } from '../process/priority.ts';
import { lastLines } from '../process/run.ts';

/** runc keeps its state here; it lies on a volatile file system, because no container survives a reboot. */
export function runcRoot(config: Config): string {
  return join(config.runDir, 'runc');
}

/** runc's name of a container. */
export function runcId(job: number, index: number): string {
  return `rs-${job}-${index}`;
}

/**
 * Runs runc with /dev/null as its standard streams. A container inherits them, and whatever waited for the end of a
 * pipe would wait for the end of the container; CRIU besides could not dump a pipe to the agent. Messages come from
 * runc's log instead.
 * @throws RankshiftError E_COMMAND with runc's last messages, E_TIMEOUT, E_MISSING.
 */
export async function runRunc(config: Config, args: readonly string[], timeoutMs = 30_000): Promise<void> {
  await mkdir(runcRoot(config), { recursive: true, mode: 0o700 });
  const log = join(config.runDir, `runc-${crypto.randomUUID()}.log`);
  const all = ['--root', runcRoot(config), '--log', log, '--log-format', 'json', ...args];
  // Ranks inherit it, and they are no more urgent than other programs.
  const child = atNormalPriority(() =>
    spawn(config.runcPath, all, { stdio: 'ignore', timeout: timeoutMs, killSignal: 'SIGKILL' }),
  );
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (code === 0) return;
    const lines = await messages(log);
    const what = `${config.runcPath} ${args.join(' ')}`;
    if (signal === 'SIGKILL') throw new RankshiftError('E_TIMEOUT', `${what} did not end within ${timeoutMs} ms`);
    throw new RankshiftError('E_COMMAND', `${what}: exit ${code}: ${lines.join(' | ')}`, { lines });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new RankshiftError('E_MISSING', `${config.runcPath} is not installed`, { cause });
  } finally {
    await rm(log, { force: true });
  }
}

async function messages(log: string): Promise<string[]> {
  const text = await readFile(log, 'utf8').catch(() => '');
  return lastLines(text, 5).map((line) => {
    try {
      const { msg } = JSON.parse(line) as { msg?: unknown };
      return typeof msg === 'string' ? msg : line;
    } catch {
      return line;
    }
  });
}
