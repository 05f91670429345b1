import { type IPty, spawn } from 'node-pty';
import { enterArgv } from '../../src/testbed/exec.ts';
import type { Cluster } from './cluster.ts';
import { until } from './until.ts';

/** A command of a user on the login node, on a terminal. */
export class Terminal {
  output = '';
  readonly ended: Promise<number>;
  readonly #pty: IPty;

  constructor(cluster: Cluster, argv: readonly string[], { user = 'alice', columns = 80, rows = 24 } = {}) {
    const { state } = cluster.testbed;
    const [file, ...args] = enterArgv(state, cluster.testbed.node('login'), argv, { user, term: 'xterm-256color' });
    this.#pty = spawn(file, args, { name: 'xterm-256color', cols: columns, rows });
    this.#pty.onData((data) => {
      this.output += data;
    });
    this.ended = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal }) => {
        (this.#pty as unknown as { destroy(): void }).destroy();
        resolve(signal !== undefined && signal > 0 ? 128 + signal : exitCode);
      });
    });
  }

  write(keys: string): void {
    this.#pty.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows);
  }

  kill(signal: string): void {
    this.#pty.kill(signal);
  }

  /** Until the output after `from` characters matches. */
  async untilShown(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const look = () => pattern.exec(this.output.slice(from)) ?? undefined;
    return await until(`the terminal shows ${pattern}`, look, { timeoutMs: 60_000 }).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.output.slice(-1500))}`);
    });
  }
}
