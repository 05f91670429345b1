import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { compressionOf } from './decompress.ts';

export type SourceKind = 'oci-layout' | 'root-directory' | 'archive' | 'compressed-archive';

/** Directories of which a root file system has at least one. */
const rootMarks = ['bin', 'usr', 'lib', 'etc', 'opt'];

/**
 * Tells what an image source is, by its content.
 * @throws RankshiftError E_IMAGE naming what was expected.
 */
export async function detectSource(source: string): Promise<SourceKind> {
  const found = await stat(source).catch((cause: Error) => {
    throw new RankshiftError('E_IMAGE', `cannot read ${source}: ${cause.message}`, { cause });
  });
  if (found.isDirectory()) {
    if (await exists(join(source, 'oci-layout'))) return 'oci-layout';
    for (const mark of rootMarks) if (await exists(join(source, mark))) return 'root-directory';
    throw unknown(source, 'neither an OCI layout nor a root file system');
  }
  if (!found.isFile()) throw unknown(source, 'neither a file nor a directory');
  const head = await readHead(source);
  if (compressionOf(head) !== 'none') return 'compressed-archive';
  if (head.toString('latin1', 257, 262) === 'ustar') return 'archive';
  throw unknown(source, 'not a tar archive');
}

function unknown(source: string, what: string): RankshiftError {
  return new RankshiftError('E_IMAGE', `${source} is ${what}`, {
    action: 'Name an OCI layout or archive, a docker save archive, or a directory with a root file system.',
  });
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function readHead(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
