import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import type { Channel } from '../channel/channel.ts';
import { pagesMessageSchema } from './messages.ts';

/** A memory file system takes it in large pieces: many buffers with one call. */
const writeBytes = 4_194_304;
const longestMs = 600_000;

/** Writes the page images that sendPages sends. @throws where a file exists, space runs out, or the link breaks. */
export async function receivePages(channel: Channel, imageDir: string): Promise<void> {
  for (;;) {
    const message = await channel.next(pagesMessageSchema, { timeoutMs: longestMs });
    if (message.op === 'end') return;
    const options = { flags: 'wx', mode: 0o600, highWaterMark: writeBytes };
    await channel.pipeOut(createWriteStream(join(imageDir, message.name), options));
  }
}
