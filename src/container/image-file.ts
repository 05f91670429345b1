import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/run.ts';

/**
 * Reads a file of an image as a container would see it, without a mount: the layers top first, with their whiteouts
 * and opaque directories. An image is foreign content, so nothing follows its symbolic links.
 * @returns null where the image has no such regular file.
 */
export async function readImageFile(layers: readonly string[], path: string): Promise<string | null> {
  const parts = path.split('/');
  for (const layer of layers) {
    const found = await lookUp(layer, parts);
    if (found.file !== undefined) return readFile(found.file, 'utf8');
    if (found.ends) return null;
  }
  return null;
}

interface Found {
  file?: string;
  /** True where lower layers cannot show through. */
  ends: boolean;
}

async function lookUp(layer: string, parts: string[]): Promise<Found> {
  let ends = false;
  for (let depth = 1; depth <= parts.length; depth++) {
    const path = join(layer, ...parts.slice(0, depth));
    const there = await lstat(path).catch(() => null);
    if (there === null) return { ends };
    if (depth === parts.length) return there.isFile() ? { file: path, ends: true } : { ends: true };
    if (!there.isDirectory()) return { ends: true }; // A whiteout, a link, a file: it hides what lies below.
    ends ||= await isOpaque(path);
  }
  return { ends };
}

/** Whether a directory of a layer hides those below it. GNU tar reads the attribute, as Node cannot. */
export async function isOpaque(directory: string): Promise<boolean> {
  const attribute = 'trusted.overlay.opaque';
  const { stdout } = await run('tar', [
    '--create',
    '--file=-',
    '--format=pax',
    '--no-recursion',
    '--xattrs',
    `--xattrs-include=${attribute}`,
    `--directory=${directory}`,
    '.',
  ]);
  return stdout.includes(`SCHILY.xattr.${attribute}=y\n`);
}
