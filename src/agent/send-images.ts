import { createReadStream, readFileSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Channel } from '../channel/channel.ts';
import { isPageImage } from '../checkpoint/images/page-image.ts';

const chunkBytes = 1_048_576;
const smallBytes = 262_144;

/**
 * Sends CRIU's metadata images, and its page images where they have no stream of their own: one list, then all bytes in
 * its order, since each message of its own would cost its time inside the freeze. Small files are read without leaving
 * this thread: they lie in memory, and on a busy node each turn through another thread waits for a time slice. Returns the
 * bytes sent.
 */
export async function sendImages(control: Channel, imageDir: string, withPages: boolean): Promise<number> {
  const all = await readdir(imageDir);
  const names = all.filter((name) => name.endsWith('.img') && (withPages || !isPageImage(name)));
  const files = names.map((name) => ({ name, size: statSync(join(imageDir, name)).size }));
  await control.send({ op: 'images', files });
  return control.pipeIn(contents(imageDir, files));
}

/** The announced bytes of each file: one that grows meanwhile is cut there. */
async function* contents(imageDir: string, files: { name: string; size: number }[]): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let bytes = 0;
  for (const { name, size } of files) {
    if (size === 0) continue;
    const path = join(imageDir, name);
    const chunks =
      size <= smallBytes
        ? [readFileSync(path).subarray(0, size)]
        : createReadStream(path, { highWaterMark: chunkBytes, end: size - 1 });
    for await (const chunk of chunks) {
      gathered.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes < chunkBytes) continue;
      yield Buffer.concat(gathered);
      gathered = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield Buffer.concat(gathered);
}
