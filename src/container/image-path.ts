import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isOpaque } from './image-file.ts';

/** As many links as Linux follows (path_resolution(7)). */
const mostLinks = 40;

/**
 * Where a path of an image ends when its symbolic links are followed inside the image, as a container would see it,
 * without a mount.
 * @param layers absolute directories of the image's layers, top first
 * @returns the path in the image, without links; null where there is no regular file.
 */
export async function resolveInImage(layers: readonly string[], path: string): Promise<string | null> {
  let left = path.split('/').filter((part) => part !== '');
  let done: string[] = [];
  for (let links = 0; ; ) {
    const part = left.shift();
    if (part === undefined) return null;
    if (part === '.') continue;
    if (part === '..') {
      done = done.slice(0, -1);
      continue;
    }
    const entry = await findEntry(layers, [...done, part]);
    if (entry === null) return null;
    if (entry.kind === 'link') {
      if (++links > mostLinks) return null;
      const target = await readlink(entry.file);
      if (target.startsWith('/')) done = [];
      left = [...target.split('/').filter((one) => one !== ''), ...left];
    } else if (entry.kind === 'file') {
      return left.length === 0 ? `/${[...done, part].join('/')}` : null;
    } else {
      done.push(part);
    }
  }
}

interface Entry {
  kind: 'file' | 'directory' | 'link';
  /** Where it lies on this node. */
  file: string;
}

/** The uppermost entry of that name; the directories before it are no links in the image as a whole. */
async function findEntry(layers: readonly string[], parts: readonly string[]): Promise<Entry | null> {
  for (const [index, layer] of layers.entries()) {
    const parents = await parentsIn(layer, parts);
    if (parents === null) return null;
    const file = join(layer, ...parts);
    const there = parents.length === parts.length - 1 ? await lstat(file).catch(() => null) : null;
    if (there?.isSymbolicLink()) return { kind: 'link', file };
    if (there?.isDirectory()) return { kind: 'directory', file };
    if (there !== null) return there.isFile() ? { kind: 'file', file } : null; // Else a whiteout.
    if (index === layers.length - 1) return null;
    for (const parent of parents) if (await isOpaque(parent)) return null;
  }
  return null;
}

/** The directories on the way that a layer has; null where it has something else there, which hides lower layers. */
async function parentsIn(layer: string, parts: readonly string[]): Promise<string[] | null> {
  const found: string[] = [];
  for (let depth = 1; depth < parts.length; depth++) {
    const directory = join(layer, ...parts.slice(0, depth));
    const there = await lstat(directory).catch(() => null);
    if (there === null) break;
    if (!there.isDirectory()) return null;
    found.push(directory);
  }
  return found;
}
