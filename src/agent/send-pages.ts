import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Channel } from '../channel/channel.ts';
import { largestFrameBytes } from '../channel/frame.ts';

/** Large pieces: each one wakes up a chain of processes on two nodes, and on busy nodes that is what it costs. */
const pieceBytes = 4_194_304;
/** How often a page image that CRIU still writes is looked at for more. */
const pollMs = 2;

/** CRIU's page images: pages-<id>.img, ids from 1 on in the order in which they are written, each whole before the next. */
export const isPageImage = (name: string) => /^pages-\d+\.img$/.test(name);

/**
 * Sends CRIU's page images while CRIU writes them into a memory file system: copying and sending overlap, and CRIU never
 * waits for the link. Ends when `dumped` has resolved and all was sent; returns the bytes.
 * @throws what `dumped` or the channel fails with.
 */
export async function sendPages(channel: Channel, imageDir: string, dumped: Promise<void>): Promise<number> {
  const state = { over: false };
  const ended = dumped.then(() => {
    state.over = true;
  });
  ended.catch(() => undefined);
  let total = 0;
  for (let id = 1; ; ) {
    const over = state.over;
    const file = await openImage(imageDir, id);
    if (file === null) {
      // CRIU numbers its page images without gaps; the one after the last never comes.
      if (over) break;
      await Promise.race([pause(), ended]);
      continue;
    }
    try {
      await channel.send({ op: 'file', name: `pages-${id}.img` });
      total += await channel.pipeIn(growing(file, () => state.over || nextExists(imageDir, id), ended));
    } finally {
      await file.close();
    }
    id++;
  }
  await channel.send({ op: 'end' });
  return total;
}

/** The content of a file up to the end that it has when it is complete. */
async function* growing(
  file: FileHandle,
  isComplete: () => boolean | Promise<boolean>,
  ended: Promise<void>,
): AsyncGenerator<Buffer> {
  // Two buffers in turn: a new one for each piece makes the collector stop the agent some thirty times in a GiB. A piece
  // of a frame or more has made the channel wait until all before it was encrypted, so the other buffer is free again;
  // a shorter one may still be queued when the next is read, and is copied.
  let [piece, other] = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)];
  for (;;) {
    const complete = await isComplete();
    const { bytesRead } = await file.read(piece, 0, pieceBytes);
    if (bytesRead >= largestFrameBytes) {
      yield piece.subarray(0, bytesRead);
      [piece, other] = [other, piece];
    } else if (bytesRead > 0) yield Buffer.from(piece.subarray(0, bytesRead));
    // Complete before the read, and nothing was left: nothing will come.
    else if (complete) return;
    if (bytesRead < pieceBytes && !complete) await Promise.race([pause(), ended]);
  }
}

async function openImage(imageDir: string, id: number): Promise<FileHandle | null> {
  try {
    return await open(join(imageDir, `pages-${id}.img`), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function nextExists(imageDir: string, id: number): Promise<boolean> {
  return (await readdir(imageDir)).includes(`pages-${id + 1}.img`);
}

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, pollMs));
