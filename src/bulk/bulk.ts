import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { RankshiftError } from '../errors.ts';

/** Exit code of `rankshift-bulk receive` where the directory is full. */
const fullCode = 3;
const startMs = 10_000;

/** A key of one transfer, 64 hexadecimal digits: whoever has it may send or take that transfer. */
export const newBulkKey = () => randomBytes(32).toString('hex');

export interface ReceiverOptions {
  /** The static program rankshift-bulk. */
  program: string;
  /** This node's IPv4 address. */
  address: string;
  /** First and last TCP port to try; 0 and 0 takes any free one. */
  ports: readonly [number, number];
  /** IPv4 address of the node that sends. */
  source: string;
  dir: string;
  key: string;
}

export interface Receiver {
  port: number;
  /** Bytes, when all are there. Rejects with E_TARGET_FULL, E_LINK. */
  done: Promise<number>;
  /** Calls it off. */
  drop(): void;
}

/** Starts taking page images into a directory, and returns when it listens. @throws RankshiftError E_LINK, E_MISSING. */
export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const { program, address, ports, source, dir, key } = options;
  const carrier = new Carrier(program, ['receive', address, ...ports.map(String), source, dir], key);
  return { port: await carrier.number(startMs), done: carrier.last(), drop: () => carrier.drop() };
}

export interface SenderOptions {
  program: string;
  address: string;
  port: number;
  dir: string;
  key: string;
}

export interface Sender {
  /** Everything is written: resolves with the bytes when the other end has them all. Rejects with E_LINK. */
  finish(): Promise<number>;
  /** Rejects as soon as the sending fails. */
  failed: Promise<never>;
  drop(): void;
}

/**
 * Starts sending the page images of a directory while CRIU writes them there: pages-1.img, pages-2.img and so on, each
 * whole when the next one exists. Returns when the connection stands. @throws RankshiftError E_LINK, E_MISSING.
 */
export async function startSender(options: SenderOptions): Promise<Sender> {
  const { program, address, port, dir, key } = options;
  const carrier = new Carrier(program, ['send', address, String(port), dir], key);
  await carrier.line(startMs);
  const bytes = carrier.last();
  const failed = bytes.then(
    () => new Promise<never>(() => undefined),
    (error: unknown) => Promise.reject(error),
  );
  failed.catch(() => undefined);
  return {
    failed,
    finish: () => {
      carrier.say('.');
      return bytes;
    },
    drop: () => carrier.drop(),
  };
}

/** One end of a transfer: a process that says a line when it is ready and one with the bytes at its end. */
class Carrier {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #ended: Promise<void>;
  #wake: () => void = () => undefined;

  constructor(program: string, args: string[], key: string) {
    const child = spawn(program, args, { stdio: 'pipe' });
    this.#child = child;
    const { stdin, stdout, stderr } = child;
    // With its input closed it ends by itself; an error of the pipe says no more than its end does.
    stdin.on('error', () => undefined).write(`${key}\n`);
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

  say(bytes: string): void {
    this.#child.stdin?.write(bytes);
  }

  drop(): void {
    this.#child.kill('SIGKILL');
  }

  /** The next line. @throws RankshiftError E_TIMEOUT, and what the process ended with. */
  async line(timeoutMs: number): Promise<string> {
    const line = await Promise.race([
      new Promise<string>((resolve) => {
        this.#wake = () => {
          const next = this.#lines.shift();
          if (next !== undefined) resolve(next);
        };
        this.#wake();
      }),
      this.#ended.then(() => Promise.reject(new RankshiftError('E_LINK', 'the page stream ended early'))),
      new Promise<never>((_resolve, reject) => {
        const late = () => reject(new RankshiftError('E_TIMEOUT', 'the page stream is not ready', { retryable: true }));
        setTimeout(late, timeoutMs).unref();
      }),
    ]).catch((error: unknown) => {
      this.drop();
      throw error;
    });
    this.#wake = () => undefined;
    return line;
  }

  async number(timeoutMs: number): Promise<number> {
    return Number(await this.line(timeoutMs));
  }

  /** What it said last, once it has ended well. */
  last(): Promise<number> {
    const number = this.#ended.then(() => Number(this.#lines.at(-1)));
    number.catch(() => undefined);
    return number;
  }
}
