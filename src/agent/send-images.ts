import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Channel } from '../channel/channel.ts';

const chunkBytes = 1_048_576;

/** Sends CRIU's metadata images; page images are with the target already. Returns the bytes sent. */
export async function sendImages(control: Channel, imageDir: string): Promise<number> {
  const names = (await readdir(imageDir)).filter((name) => name.endsWith('.img') || name === 'descriptors.json');
  let total = 0;
  for (const name of names) {
    await control.send({ op: 'image', name });
    total += await control.pipeIn(createReadStream(join(imageDir, name), { highWaterMark: chunkBytes }));
  }
  return total;
}
