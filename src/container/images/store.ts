import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { digestSchema, parseImageName, recordFileName } from './name.ts';
import { type ImageRecord, imageRecordSchema } from './record.ts';

/** Temporary names in the store start so; nothing else does. */
export const temporaryPrefix = '.tmp-';

/** The directory of one layer. @throws RankshiftError E_BAD_INPUT on a malformed digest. */
export function layerPath(store: string, digest: string): string {
  if (!digestSchema.safeParse(digest).success) {
    throw new RankshiftError('E_BAD_INPUT', `${JSON.stringify(digest)} is not a digest`);
  }
  return join(layersDir(store), digest.slice('sha256:'.length));
}

export function layersDir(store: string): string {
  return join(store, 'layers', 'sha256');
}

export function recordsDir(store: string): string {
  return join(store, 'images');
}

/**
 * Makes the directories of the store. Layers are open to root alone: an image may hold set-user-ID programs, which
 * users of the node must not reach outside of a container.
 */
export async function createStore(store: string): Promise<void> {
  await mkdir(recordsDir(store), { recursive: true, mode: 0o755 });
  await mkdir(join(store, 'layers'), { recursive: true, mode: 0o700 });
  await mkdir(layersDir(store), { recursive: true, mode: 0o700 });
  await mkdir(join(store, 'recipes'), { recursive: true, mode: 0o700 });
}

export async function hasLayer(store: string, digest: string): Promise<boolean> {
  return stat(layerPath(store, digest)).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** The layers of a list that the store lacks; what a target node must receive. */
export async function missingLayers(store: string, layers: readonly string[]): Promise<string[]> {
  const present = await Promise.all(layers.map((digest) => hasLayer(store, digest)));
  return layers.filter((_, index) => !present[index]);
}

/**
 * All images of the store, by name. An absent store is an empty one.
 * @throws RankshiftError E_IMAGE naming a damaged record.
 */
export async function listImages(store: string): Promise<ImageRecord[]> {
  const files = await readdir(recordsDir(store)).catch(() => [] as string[]);
  const records: ImageRecord[] = [];
  for (const file of files.sort()) {
    if (!file.endsWith('.json') || file.startsWith(temporaryPrefix)) continue;
    const record = await readRecord(join(recordsDir(store), file));
    if (record !== undefined) records.push(record);
  }
  return records;
}

/**
 * The record of one image.
 * @throws RankshiftError E_UNKNOWN_IMAGE naming the images that exist.
 */
export async function resolveImage(store: string, name: string): Promise<ImageRecord> {
  const record = await readRecord(join(recordsDir(store), recordFileName(parseImageName(name))));
  if (record !== undefined) return record;
  const names = (await listImages(store)).map((image) => image.name);
  const exist = names.length === 0 ? 'the store is empty' : `there are ${names.join(', ')}`;
  throw new RankshiftError('E_UNKNOWN_IMAGE', `no image ${name} in ${store}: ${exist}`);
}

/** Puts a record in place in one step, so that a reader sees the old one or the new one. */
export async function writeRecord(store: string, record: ImageRecord): Promise<void> {
  const text = `${JSON.stringify(imageRecordSchema.parse(record), null, 2)}\n`;
  const temporary = join(recordsDir(store), `${temporaryPrefix}${crypto.randomUUID()}`);
  try {
    const file = await open(temporary, 'wx', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(recordsDir(store), recordFileName(record.name)));
  } finally {
    await rm(temporary, { force: true });
  }
}

async function readRecord(file: string): Promise<ImageRecord | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new RankshiftError('E_IMAGE', `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  try {
    return imageRecordSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new RankshiftError('E_IMAGE', `${file} is damaged; remove it and import the image again`, { cause });
  }
}
