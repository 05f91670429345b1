import type { WriteStream } from 'node:tty';

/** Prints the demo: with emphasis and one changing line on a terminal, as plain lines anywhere else. */
export class Voice {
  readonly #out: WriteStream;
  readonly #terminal: boolean;
  readonly #started = performance.now();
  #changing = false;

  constructor(out: WriteStream = process.stdout) {
    this.#out = out;
    this.#terminal = out.isTTY === true && process.env['TERM'] !== 'dumb';
  }

  /** A new part of the story, with the seconds since the start. */
  step(text: string): void {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1).padStart(4);
    this.say(`\n${this.#style('1', `[${seconds} s] ${text}`)}`);
  }

  say(text: string): void {
    if (this.#changing) this.#out.write('\r\x1b[K');
    this.#changing = false;
    this.#out.write(`${text}\n`);
  }

  /** What a person types on the login node; its output follows. */
  prompt(user: string, command: string): void {
    this.say(this.#style('36', `  ${user}@login:~$ ${command}`));
  }

  /** Output of a command. */
  quote(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.say(`  ${line}`.trimEnd());
  }

  /** How a wait goes; shown on a terminal only, and replaced by whatever comes next. */
  progress(text: string): void {
    if (!this.#terminal) return;
    this.#out.write(`\r\x1b[K  ${this.#style('2', text)}`);
    this.#changing = true;
  }

  verdict(good: boolean, text: string): void {
    this.say(good ? `  ok      ${text}` : this.#style('1;31', `  FAILED  ${text}`));
  }

  #style(code: string, text: string): string {
    const plain = !this.#terminal || (process.env['NO_COLOR'] ?? '') !== '';
    return plain ? text : `\x1b[${code}m${text}\x1b[0m`;
  }
}
