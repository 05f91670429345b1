import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { RankshiftError } from '../../errors.ts';
import { createTar } from '../tar/process.ts';
import { archiveBlobs, directoryBlobs, verified } from './blobs.ts';
import { decompressed } from './decompress.ts';
import { describeDocker } from './describe-docker.ts';
import { describeOci } from './describe-oci.ts';
import type { ImageDescription } from './description.ts';
import { detectSource } from './detect.ts';
import { extractLayer, sweepStore } from './layer.ts';
import { parseImageName } from './name.ts';
import { archiveBytes } from './recipe.ts';
import type { ImageRecord } from './record.ts';
import { registerLayers } from './register.ts';
import { createStore, hasLayer, layersDir, temporaryPrefix } from './store.ts';

export interface ImportProgress {
  /** Layer that begins, counted from 1. */
  layer: number;
  layers: number;
  /** True where the store has the layer already. */
  present: boolean;
}

export interface ImportOptions {
  onProgress?: (progress: ImportProgress) => void;
  signal?: AbortSignal;
}

/** Options of GNU tar that make the archive of a directory depend on its content alone (tar manual, "Reproducibility"). */
const deterministic = [
  '--sort=name',
  '--one-file-system',
  '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
];
const directoryTimeoutMs = 2 * 3_600_000;

/**
 * Imports an image into the store under a name: an OCI layout directory, an OCI archive, a `docker save` archive
 * (both also compressed as a whole), or a plain root directory, which becomes an image of one layer. Importing again
 * under the same name replaces it.
 * @throws RankshiftError E_IMAGE on a malformed, hostile or damaged source, E_BAD_INPUT on a malformed name.
 */
export async function importImage(
  store: string,
  source: string,
  name: string,
  options: ImportOptions = {},
): Promise<ImageRecord> {
  parseImageName(name);
  const kind = await detectSource(source);
  await createStore(store);
  await sweepStore(store);
  const temporary = await mkdtemp(join(layersDir(store), temporaryPrefix));
  try {
    if (kind === 'root-directory') return await importDirectory(store, source, name, options);
    return await importDescribed(store, name, await describe(kind, source, temporary), options);
  } catch (cause) {
    if (cause instanceof RankshiftError) throw cause;
    throw new RankshiftError('E_IMAGE', `${source}: ${(cause as Error).message}`, { cause });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function describe(kind: string, source: string, temporary: string): Promise<ImageDescription> {
  if (kind === 'oci-layout') return describeOci(directoryBlobs(source));
  let archive = source;
  if (kind === 'compressed-archive') {
    // Layers are read one by one and in any order, so the archive must be seekable.
    archive = join(temporary, 'archive.tar');
    await pipeline(createReadStream(source), decompressed, createWriteStream(archive));
  }
  const blobs = await archiveBlobs(archive);
  // Docker of today writes both descriptions into one archive.
  if (await blobs.has('index.json')) return describeOci(blobs);
  if (await blobs.has('manifest.json')) return describeDocker(blobs);
  throw new RankshiftError('E_IMAGE', `${source} is neither an OCI archive nor one of docker save`, {
    action: 'If it is the archive of a root file system, unpack it and import the directory.',
  });
}

async function importDescribed(
  store: string,
  name: string,
  image: ImageDescription,
  options: ImportOptions,
): Promise<ImageRecord> {
  for (const [index, layer] of image.layers.entries()) {
    // Without its recipe a layer could not be sent to another node.
    const present = (await hasLayer(store, layer.diffId)) && (await archiveBytes(store, layer.diffId)) !== null;
    options.onProgress?.({ layer: index + 1, layers: image.layers.length, present });
    if (present) continue;
    const blob = await image.source.read(layer.blob);
    const checked = layer.digest === undefined ? blob : verified(blob, layer.digest);
    await extractLayer(store, decompressed(checked), {
      whiteouts: true,
      expected: layer.diffId,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  }
  const layers = image.layers.map((layer) => layer.diffId);
  return registerLayers(store, name, layers, image.config, image.digest);
}

async function importDirectory(
  store: string,
  directory: string,
  name: string,
  options: ImportOptions,
): Promise<ImageRecord> {
  options.onProgress?.({ layer: 1, layers: 1, present: false });
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const archive = createTar(directory, deterministic, { code: 'E_IMAGE', timeoutMs: directoryTimeoutMs, ...signal });
  const digest = await extractLayer(store, archive, { whiteouts: false, ...signal });
  return registerLayers(store, name, [digest], { env: [] }, digest);
}
