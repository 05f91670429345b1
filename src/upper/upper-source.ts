import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';

const passSchema = z.object({ entries: z.number(), changed: z.number(), bytes: z.number(), ms: z.number() });
/** What one pass found and sent. */
export type UpperPass = z.infer<typeof passSchema>;

export interface UpperSourceOptions {
  /** The program rankshift-upper. */
  program: string;
  /** The upper directory, and the control group of the container that writes there. */
  directory: string;
  cgroup: string;
}

/** Reads an upper directory in passes, each with what has changed since the one before (docs/upper.md). */
export class UpperSource {
  /** The stream for an UpperTarget. Ends after the last pass. */
  readonly stream: Readable;
  readonly #child: ChildProcess;
  readonly #reports: AsyncIterator<string>;
  readonly #messages: Promise<string>;

  constructor({ program, directory, cgroup }: UpperSourceOptions) {
    const child = spawn(program, ['source', directory, cgroup], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null)
      throw new RankshiftError('E_MISSING', `${program}: no pipes`);
    child.on('error', () => undefined);
    stdin.on('error', () => undefined);
    this.#child = child;
    this.stream = stdout;
    this.#messages = text(stderr).catch((error: Error) => error.message);
    this.#reports = createInterface({ input: child.stdio[3] as Readable })[Symbol.asyncIterator]();
  }

  /** Resolves when what has changed is written to the stream. @throws RankshiftError E_COMMAND. */
  pass(): Promise<UpperPass> {
    return this.#ask('pass');
  }

  /** The same of the frozen container, and the end of the stream. */
  final(): Promise<UpperPass> {
    return this.#ask('final');
  }

  /** It may be killed at any time. */
  end(): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(command: string): Promise<UpperPass> {
    this.#child.stdin?.write(`${command}\n`);
    const { value, done } = await this.#reports.next();
    if (done !== true) return passSchema.parse(JSON.parse(value));
    const message = (await this.#messages).trim();
    throw new RankshiftError('E_COMMAND', `upper directory: ${message || 'it cannot be read'}`);
  }
}
