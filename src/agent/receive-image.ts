import { createWriteStream } from 'node:fs';
import type { Channel } from '../channel/channel.ts';

/** Writes one announced image from the bulk bytes that follow. @throws where the file exists or space runs out. */
export async function receiveImage(channel: Channel, file: string): Promise<void> {
  await channel.pipeOut(createWriteStream(file, { flags: 'wx', mode: 0o600 }));
}
