import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RankshiftError } from '../errors.ts';
import { lastLines } from '../process/run.ts';

/** A rankshift-pages that goes on when this process ends. */
export interface ServerProcess {
  /** The next line that matches. Rejects with the reason where it ends before, or none comes in time. */
  line(wanted: RegExp, timeoutMs: number): Promise<string>;
  write(text: string): void;
  /** Resolves when it has ended, however. */
  ended: Promise<number | null>;
  drop(): void;
}

/** Its messages go to a file in the work directory: nobody may be there to read them. */
export function startServerProcess(pages: string, args: string[], workDir: string): ServerProcess {
  const messages = join(workDir, 'serve.err');
  const log = openSync(messages, 'w', 0o600);
  const child = spawn(pages, args, { stdio: ['pipe', 'pipe', log], detached: true });
  closeSync(log);
  child.unref();
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new RankshiftError('E_MISSING', `${pages} cannot be started`);
  stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (code) => resolve(code));
  });
  const drop = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  const lines = createInterface({ input: stdout });
  const early: string[] = [];
  lines.on('line', (line) => early.push(line));
  const line = async (wanted: RegExp, timeoutMs: number) => {
    const found = await new Promise<string | null>((resolve) => {
      const known = early.find((text) => wanted.test(text));
      if (known !== undefined) return resolve(known);
      lines.on('line', (text) => {
        if (wanted.test(text)) resolve(text);
      });
      void ended.then(() => resolve(null));
      setTimeout(() => resolve(null), timeoutMs).unref();
    });
    if (found !== null) return found;
    drop();
    throw await reasonOf(messages, await ended);
  };
  return { line, write: (text) => void stdin.write(text), ended, drop };
}

/** Exit code where the store is full. */
const fullCode = 3;

async function reasonOf(messages: string, code: number | null): Promise<RankshiftError> {
  const lines = lastLines(await readFile(messages, 'utf8').catch(() => ''), 3);
  const message = `the restored memory cannot be served: ${lines.at(-1) ?? 'no reason given'}`;
  return new RankshiftError(code === fullCode ? 'E_TARGET_FULL' : 'E_CRIU', message, { lines });
}
