import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { upperPath } from './rootfs.ts';
import { ownDirectory } from './spec.ts';

/** An exit file is a number and a newline. */
const exitFileLimit = 16;

/**
 * Reads a part of what the container's main process wrote.
 * @param offset in bytes from the start of the stream.
 * @returns at most maxBytes; nothing at the end, or where there is no such file (yet).
 */
export async function readOutput(
  containerDir: string,
  stream: 'stdout' | 'stderr',
  offset: number,
  maxBytes: number,
): Promise<Buffer> {
  return readOwnFile(containerDir, stream, offset, maxBytes);
}

/** The exit code of the container's main process, null as long as there is none. */
export async function readExit(containerDir: string): Promise<number | null> {
  const text = (await readOwnFile(containerDir, 'exit', 0, exitFileLimit)).toString('latin1');
  return /^\d{1,3}\n$/.test(text) ? Number(text) : null;
}

/**
 * Reads from our directory in the container's upper directory. Its user owns that directory and may put anything
 * there: a symbolic link to a file of root, a FIFO on which an open would wait for ever. Only a regular file that lies
 * there itself is read.
 */
async function readOwnFile(containerDir: string, name: string, offset: number, maxBytes: number): Promise<Buffer> {
  const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
  const nothing = Buffer.alloc(0);
  const directory = await openOrNull(join(upperPath(containerDir), ownDirectory), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (directory === null) return nothing;
  try {
    // Through the open directory: it cannot be exchanged for a link between the two opens.
    const file = await openOrNull(`/proc/self/fd/${directory.fd}/${name}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (file === null) return nothing;
    try {
      const status = await file.stat();
      const length = Math.min(maxBytes, status.size - offset);
      if (!status.isFile() || length <= 0) return nothing;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } finally {
    await directory.close();
  }
}

async function openOrNull(path: string, flags: number): Promise<FileHandle | null> {
  try {
    return await open(path, flags);
  } catch (error) {
    const expected = ['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO'];
    if (expected.includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}
