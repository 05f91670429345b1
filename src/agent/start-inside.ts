import { spawn as spawnWithPipes } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { spawn } from 'node-pty';
import type { ShellStart } from '../migration/shell.ts';

export interface InsideOptions {
  /** rankshift-node. */
  program: string;
  /** Its arguments that say where to go in, and as whom. */
  entry: readonly string[];
  command: ShellStart['command'];
  terminal: ShellStart['terminal'];
  environment: Record<string, string>;
}

export interface Piece {
  to: 'stdout' | 'stderr';
  bytes: Buffer;
}

/** A program that runs inside of a container, on a terminal of its own or with pipes. */
export interface Inside {
  /** Ends when all is read. What is not taken holds the program up. */
  output: AsyncIterable<Piece>;
  ended: Promise<number>;
  write(bytes: Buffer): Promise<void>;
  resize(size: { columns: number; rows: number }): void;
  endInput(): void;
  /** Lets go of the terminal or the pipes; whoever still runs is for the cgroup to kill. */
  end(): void;
}

export function startInside(options: InsideOptions): Inside {
  return options.terminal === null ? withPipes(options) : onTerminal(options, options.terminal);
}

function argumentsOf({ entry, command }: InsideOptions, more: string[]): string[] {
  return ['enter', ...entry, ...more, ...(command === null ? [] : ['--', ...command])];
}

function onTerminal(options: InsideOptions, terminal: NonNullable<ShellStart['terminal']>): Inside {
  const queue = new PieceQueue((full) => (full ? pty.pause() : pty.resume()));
  const pty = spawn(options.program, argumentsOf(options, ['--tty']), {
    ...{ name: terminal.type, cols: terminal.columns, rows: terminal.rows, cwd: '/', env: options.environment },
    // Bytes: a character may come in two pieces.
    encoding: null,
  });
  pty.onData((data) => queue.push({ to: 'stdout', bytes: Buffer.from(data as unknown as Uint8Array) }));
  const ended = new Promise<number>((resolve) => {
    pty.onExit(({ exitCode, signal }) => {
      queue.end();
      resolve(codeOf(exitCode, signal ?? 0));
    });
  });
  return {
    output: queue,
    ended,
    write: async (bytes) => pty.write(bytes),
    resize: ({ columns, rows }) => {
      try {
        pty.resize(columns, rows);
      } catch {
        // It has just ended.
      }
    },
    // The terminal's own way: Ctrl-D.
    endInput: () => pty.write('\x04'),
    end: () => {
      queue.end();
      (pty as unknown as { destroy(): void }).destroy();
    },
  };
}

function withPipes(options: InsideOptions): Inside {
  const child = spawnWithPipes(options.program, argumentsOf(options, []), {
    ...{ cwd: '/', env: options.environment, stdio: 'pipe' as const },
  });
  const queue = new PieceQueue((full) => {
    for (const stream of [child.stdout, child.stderr]) full ? stream.pause() : stream.resume();
  });
  child.stdin.on('error', () => undefined);
  child.stdout.on('data', (bytes: Buffer) => queue.push({ to: 'stdout', bytes }));
  child.stderr.on('data', (bytes: Buffer) => queue.push({ to: 'stderr', bytes }));
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(126));
    child.once('close', (code, signal) => {
      queue.end();
      resolve(code ?? codeOf(0, signal === null ? 0 : constants.signals[signal]));
    });
  });
  return {
    output: queue,
    ended,
    write: async (bytes) => {
      if (!child.stdin.write(bytes)) await Promise.race([once(child.stdin, 'drain'), once(child.stdin, 'close')]);
    },
    resize: () => undefined,
    endInput: () => child.stdin.end(),
    end: () => {
      queue.end();
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    },
  };
}

const codeOf = (exitCode: number, signal: number) => (signal > 0 ? 128 + signal : exitCode) & 255;

/** Output on its way: beyond some of it the program is made to wait. */
class PieceQueue implements AsyncIterable<Piece> {
  static readonly mostBytes = 256 * 1024;
  /** In one message: base64 and JSON have room. */
  static readonly pieceBytes = 128 * 1024;
  #pieces: Piece[] = [];
  #bytes = 0;
  #full = false;
  #ended = false;
  #wake: () => void = () => undefined;
  readonly #onFull: (full: boolean) => void;

  constructor(onFull: (full: boolean) => void) {
    this.#onFull = onFull;
  }

  push({ to, bytes }: Piece): void {
    for (let at = 0; at < bytes.length; at += PieceQueue.pieceBytes)
      this.#pieces.push({ to, bytes: bytes.subarray(at, at + PieceQueue.pieceBytes) });
    this.#count(bytes.length);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Piece, void, undefined> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#count(-piece.bytes.length);
        yield piece;
      } else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    const full = this.#bytes > PieceQueue.mostBytes;
    if (full === this.#full) return;
    this.#full = full;
    this.#onFull(full);
  }
}
