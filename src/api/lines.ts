import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { RankshiftError } from '../errors.ts';

/** Name of the protocol of Lines in the Upgrade header (RFC 9110, 7.8). */
export const linesProtocol = 'rankshift-lines';

const pingMs = 5000;
const deadMs = 20_000;
const longestLine = 2 * 1024 * 1024;

/**
 * One JSON value per line in both directions of a connection that was upgraded. An empty line is a sign of life: each side
 * sends one when it is quiet, and takes the connection for broken when the other is silent.
 */
export class Lines {
  readonly #stream: Duplex;
  readonly #timers: NodeJS.Timeout[];
  #heardAt = performance.now();

  constructor(stream: Duplex, head: Buffer) {
    this.#stream = stream;
    stream.on('error', () => undefined);
    if (head.length > 0) stream.unshift(head);
    this.#timers = [
      setInterval(() => stream.writableLength === 0 && stream.write('\n'), pingMs),
      setInterval(() => {
        // While nothing is read here, its silence means nothing.
        if (stream.readableLength === 0 && performance.now() - this.#heardAt > deadMs) this.destroy();
      }, pingMs / 2),
    ];
    stream.once('close', () => this.#stopTimers());
  }

  /** Resolves when the other side has room for more. @throws RankshiftError E_LINK where it is gone. */
  async send(value: unknown): Promise<void> {
    if (this.#stream.destroyed) throw lost();
    if (this.#stream.write(`${JSON.stringify(value)}\n`)) return;
    await Promise.race([once(this.#stream, 'drain'), once(this.#stream, 'close')]);
    if (this.#stream.destroyed) throw lost();
  }

  /** The values that come. Ends with the connection. @throws RankshiftError E_BAD_INPUT where a line is none. */
  async *values(): AsyncGenerator<unknown, void, undefined> {
    let held = '';
    const decoder = new TextDecoder();
    try {
      // Who stops reading may still have a last word to say.
      for await (const chunk of this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        this.#heardAt = performance.now();
        const lines = (held + decoder.decode(chunk, { stream: true })).split('\n');
        held = lines.pop() ?? '';
        if (held.length > longestLine) throw new RankshiftError('E_BAD_INPUT', 'a line is too long');
        for (const line of lines) if (line !== '') yield parse(line);
      }
    } catch (error) {
      if (error instanceof RankshiftError) throw error;
      // Broken: as if it had ended. Who waits for a last word misses it.
    }
  }

  /** Ends it when what was sent has gone. */
  end(): void {
    this.#stopTimers();
    this.#stream.end();
  }

  destroy(): void {
    this.#stopTimers();
    this.#stream.destroy();
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new RankshiftError('E_BAD_INPUT', 'a line is not JSON', { cause });
  }
}

const lost = () => new RankshiftError('E_LINK', 'the connection is lost');
