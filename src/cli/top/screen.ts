import { constants } from 'node:os';
import type { Line } from './frame.ts';

/** Control sequences of xterm (ctlseqs), which every terminal in use understands. */
const enter = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J';
const leave = '\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l';
const home = '\x1b[H';
const toLineEnd = '\x1b[K';
const toEnd = '\x1b[J';
const styles: Record<Line['style'], string> = { plain: '', title: '\x1b[1m', heading: '\x1b[7m', alarm: '\x1b[1;31m' };
const reset = '\x1b[0m';

/**
 * The terminal while `top` has it. It is given back as it was whatever ends the process: `close`, a signal, an error
 * that nobody caught.
 */
export class Screen {
  readonly #input: NodeJS.ReadStream;
  readonly #output: NodeJS.WriteStream;
  #open = false;

  constructor(input: NodeJS.ReadStream, output: NodeJS.WriteStream) {
    this.#input = input;
    this.#output = output;
    // What is written in an exit handler of a terminal is written at once (Node, "A note on process I/O").
    process.once('exit', () => this.close());
  }

  get size(): { columns: number; rows: number } {
    // A terminal that does not know its size says 0.
    return { columns: this.#output.columns || 80, rows: this.#output.rows || 24 };
  }

  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.#input.setRawMode(true);
    this.#input.resume();
    this.#output.write(enter);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#output.write(leave);
    this.#input.setRawMode(false);
    this.#input.pause();
  }

  draw(lines: readonly Line[]): void {
    if (!this.#open) return;
    const { columns } = this.size;
    const texts = lines.map(({ text, style }) => {
      const shown = style === 'heading' ? text.padEnd(columns).slice(0, columns) : text;
      return styles[style] === '' ? `${shown}${toLineEnd}` : `${styles[style]}${shown}${reset}${toLineEnd}`;
    });
    this.#output.write(home + texts.join('\r\n') + toEnd);
  }

  /** Ctrl-Z: the shell gets its terminal as it was, and `fg` brings the picture back. */
  suspend(redraw: () => void): void {
    this.close();
    process.once('SIGCONT', () => {
      this.open();
      redraw();
    });
    process.kill(process.pid, 'SIGSTOP');
  }
}

/** Exit code of a process that a signal ended. */
export function signalExit(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): number {
  return 128 + constants.signals[signal];
}
