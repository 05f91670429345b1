import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Channel } from '../channel/channel.ts';
import { isPageImage } from '../checkpoint/images/page-image.ts';

const chunkBytes = 1_048_576;

/**
 * Sends CRIU's metadata images, and its page images where they have no stream of their own: one list, then all bytes in
 * its order, since each message of its own would cost its time inside the freeze. Returns the bytes sent.
 */
export async function sendImages(control: Channel, imageDir: string, withPages: boolean): Promise<number> {
  const all = await readdir(imageDir);
  const names = all.filter(
    (name) => (name.endsWith('.img') && (withPages || !isPageImage(name))) || name === 'descriptors.json',
  );
  const files = await Promise.all(names.map(async (name) => ({ name, size: (await stat(join(imageDir, name))).size })));
  await control.send({ op: 'images', files });
  return control.pipeIn(contents(imageDir, files));
}

/** The announced bytes of each file: one that grows meanwhile is cut there. */
async function* contents(imageDir: string, files: { name: string; size: number }[]): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let bytes = 0;
  for (const { name, size } of files) {
    if (size === 0) continue;
    for await (const chunk of createReadStream(join(imageDir, name), { highWaterMark: chunkBytes, end: size - 1 })) {
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
