import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { RankshiftError } from '../errors.ts';

/** Exit code of `rankshift-bulk receive` where the directory is full. */
const fullCode = 3;

/**
 * One end of a transfer: a rankshift-bulk that says a line when it is ready, and at its end how many bytes it carried, or
 * whatever the program says that it carries for.
 */
export class Carrier {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #ended: Promise<void>;
  #wake: () => void = () => undefined;

  constructor(program: string, args: string[], firstLine: string) {
    const child = spawn(program, args, { stdio: 'pipe' });
    this.#child = child;
    const { stdin, stdout, stderr } = child;
    // With its input closed it ends by itself; an error of the pipe says no more than its end does.
    stdin.on('error', () => undefined).write(`${firstLine}\n`);
    createInterface({ input: stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    const said = text(stderr);
    this.#ended = new Promise<void>((resolve, reject) => {
      child.once('error', (cause) =>
        reject(new RankshiftError('E_MISSING', `${program} cannot be started`, { cause })),
      );
      child.once('close', (code) => void said.then((message) => settle(code, message.trim())));
      const settle = (code: number | null, message: string) => {
        if (code === 0) resolve();
        else
          reject(
            new RankshiftError(code === fullCode ? 'E_TARGET_FULL' : 'E_LINK', message || 'the page stream broke'),
          );
      };
    });
    this.#ended.catch(() => undefined);
  }

  write(bytes: string): void {
    this.#child.stdin?.write(bytes);
  }

  drop(): void {
    this.#child.kill('SIGKILL');
  }

  /** Resolves when it has ended well, rejects with what it said else. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Closes its input: the program that it carries for ends by itself. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  /** The next line. @throws RankshiftError E_TIMEOUT, and what the process ended with. */
  async line(timeoutMs: number): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    return await Promise.race([
      new Promise<string>((resolve) => {
        this.#wake = () => {
          const next = this.#lines.shift();
          if (next === undefined) return;
          // A second line of the same chunk is for the next caller.
          this.#wake = () => undefined;
          resolve(next);
        };
        this.#wake();
      }),
      this.#ended.then(() => Promise.reject(new RankshiftError('E_LINK', 'the page stream ended early'))),
      new Promise<never>((_resolve, reject) => {
        const late = () => reject(new RankshiftError('E_TIMEOUT', 'the page stream is not ready', { retryable: true }));
        timer = setTimeout(late, timeoutMs).unref();
      }),
    ])
      .catch((error: unknown) => {
        this.drop();
        throw error;
      })
      .finally(() => clearTimeout(timer));
  }

  async number(timeoutMs: number): Promise<number> {
    return Number(await this.line(timeoutMs));
  }

  /** The number that it said last; 0 before it said one. */
  get latest(): number {
    return Number(this.#lines.at(-1) ?? 0) || 0;
  }

  /** What it said last, once it has ended well. */
  last(): Promise<number> {
    const number = this.#ended.then(() => Number(this.#lines.at(-1)));
    number.catch(() => undefined);
    return number;
  }
}
