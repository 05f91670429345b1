import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Channel } from '../channel/channel.ts';
import { RankshiftError } from '../errors.ts';

/**
 * Writes the announced images from the bulk bytes that follow, each in its turn; without leaving this thread, as in
 * sendImages: the directory lies in memory.
 * @throws RankshiftError E_LINK where fewer or more bytes come than were announced; what the file system says.
 */
export async function receiveImages(
  channel: Channel,
  imageDir: string,
  files: readonly { name: string; size: number }[],
): Promise<void> {
  const sink = new ImageSink(imageDir, files);
  await channel.pipeOut(sink);
}

class ImageSink extends Writable {
  readonly #directory: string;
  readonly #files: { name: string; size: number }[];
  #open: number | null = null;
  #left = 0;

  constructor(directory: string, files: readonly { name: string; size: number }[]) {
    super({ highWaterMark: 4_194_304 });
    this.#directory = directory;
    this.#files = [...files];
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#attempt(() => this.#take(chunk), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#attempt(() => {
      this.#advance();
      if (this.#left > 0) throw new RankshiftError('E_LINK', 'fewer bytes of images came than were announced');
    }, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#attempt(
      () => this.#close(),
      (failure) => done(error ?? failure),
    );
  }

  #attempt(work: () => void, done: (error?: Error | null) => void): void {
    try {
      work();
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      this.#advance();
      if (this.#open === null) throw new RankshiftError('E_LINK', 'more bytes of images came than were announced');
      const written = writeSync(this.#open, rest, 0, Math.min(rest.length, this.#left));
      this.#left -= written;
      rest = rest.subarray(written);
    }
  }

  /** Opens the next file as long as the current one is complete. */
  #advance(): void {
    while (this.#left === 0) {
      this.#close();
      const next = this.#files.shift();
      if (next === undefined) return;
      this.#open = openSync(join(this.#directory, next.name), 'wx', 0o600);
      this.#left = next.size;
    }
  }

  #close(): void {
    const open = this.#open;
    this.#open = null;
    if (open !== null) closeSync(open);
  }
}
