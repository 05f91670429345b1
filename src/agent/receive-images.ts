import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Channel } from '../channel/channel.ts';
import { RankshiftError } from '../errors.ts';

/**
 * Writes the announced images from the bulk bytes that follow, each in its turn.
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
  #open: FileHandle | null = null;
  #left = 0;

  constructor(directory: string, files: readonly { name: string; size: number }[]) {
    super({ highWaterMark: 4_194_304 });
    this.#directory = directory;
    this.#files = [...files];
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#take(chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#finish().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const open = this.#open;
    this.#open = null;
    void (open?.close() ?? Promise.resolve()).then(() => done(error), done);
  }

  async #take(chunk: Buffer): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) {
      await this.#advance();
      if (this.#open === null) throw new RankshiftError('E_LINK', 'more bytes of images came than were announced');
      const part = rest.subarray(0, this.#left);
      await this.#open.write(part);
      this.#left -= part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** Opens the next file as long as the current one is complete. */
  async #advance(): Promise<void> {
    while (this.#left === 0) {
      await this.#open?.close();
      this.#open = null;
      const next = this.#files.shift();
      if (next === undefined) return;
      this.#open = await open(join(this.#directory, next.name), 'wx', 0o600);
      this.#left = next.size;
    }
  }

  async #finish(): Promise<void> {
    await this.#advance();
    if (this.#left > 0) throw new RankshiftError('E_LINK', 'fewer bytes of images came than were announced');
  }
}
