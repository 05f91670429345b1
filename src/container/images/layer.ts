import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { extractTar } from '../tar/process.ts';
import { overlayForm } from './overlay-form.ts';
import { publishRecipe, RecipeWriter } from './recipe.ts';
import { layerPath, layersDir, temporaryPrefix } from './store.ts';

/** A layer of tens of gigabytes on a slow disk; whatever takes longer hangs. */
const extractTimeoutMs = 2 * 3_600_000;
/** A temporary directory this old belongs to an import that died. */
const leftoverAgeMs = 24 * 3_600_000;

export interface ExtractLayerOptions {
  whiteouts: boolean;
  /** The diff id that the image's configuration states; undefined where the content defines it. */
  expected?: string;
  /** Start of the name of the temporary directory, after `temporaryPrefix`. */
  label?: string;
  signal?: AbortSignal;
}

/**
 * Extracts one uncompressed layer into the store and returns its diff id (`sha256:<hex>` of the tar stream). The layer
 * is made in a temporary directory, brought to disk and renamed, so nobody ever sees a part of one; two imports of the
 * same layer may run at once, the later result is dropped.
 * @throws RankshiftError E_IMAGE on a malformed or hostile archive and on a wrong digest.
 */
export async function extractLayer(
  store: string,
  layer: AsyncIterable<Uint8Array>,
  options: ExtractLayerOptions,
): Promise<string> {
  const hash = createHash('sha256');
  const hashed = (async function* () {
    for await (const chunk of layer) {
      hash.update(chunk);
      yield chunk;
    }
  })();
  const temporary = await mkdtemp(join(layersDir(store), `${temporaryPrefix}${options.label ?? ''}`));
  const recipeFile = join(temporary, 'recipe');
  const recipe = new RecipeWriter(recipeFile);
  try {
    const content = join(temporary, 'content');
    await mkdir(content, { mode: 0o755 });
    await extractTar(overlayForm(hashed, { ...options, recipe }), content, {
      code: 'E_IMAGE',
      timeoutMs: extractTimeoutMs,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const digest = `sha256:${hash.digest('hex')}`;
    if (options.expected !== undefined && digest !== options.expected) {
      throw new RankshiftError('E_IMAGE', `a layer has the digest ${digest}, its image says ${options.expected}`);
    }
    if (await recipe.end()) await publishRecipe(store, digest, recipeFile);
    await publishLayer(store, content, digest);
    return digest;
  } finally {
    recipe.drop();
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Brings an extracted directory to disk and to its final name. */
export async function publishLayer(store: string, directory: string, digest: string): Promise<void> {
  // A rename may reach the disk before the data; syncfs(2) first, so that a crash cannot leave a hollow layer.
  await run('sync', ['--file-system', directory], { timeoutMs: 600_000 });
  try {
    await rename(directory, layerPath(store, digest));
  } catch (cause) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
  }
}

/** Bytes that a layer takes, hard links counted once. */
export async function layerBytes(store: string, digest: string): Promise<number> {
  const { stdout } = await run('du', ['--summarize', '--bytes', layerPath(store, digest)], { timeoutMs: 600_000 });
  return Number.parseInt(stdout, 10);
}

/** Removes temporary directories whose work has a label and is known to have ended. */
export async function sweepTemporary(store: string, label: string): Promise<void> {
  for (const name of await readdir(layersDir(store)).catch(() => [] as string[])) {
    if (!name.startsWith(`${temporaryPrefix}${label}`)) continue;
    await rm(join(layersDir(store), name), { recursive: true, force: true });
  }
}

/** Removes what imports that died have left. */
export async function sweepStore(store: string, now: number = Date.now()): Promise<void> {
  for (const directory of [layersDir(store), join(store, 'images')]) {
    for (const name of await readdir(directory).catch(() => [] as string[])) {
      if (!name.startsWith(temporaryPrefix)) continue;
      const path = join(directory, name);
      const age = now - (await stat(path).catch(() => ({ mtimeMs: now }))).mtimeMs;
      if (age > leftoverAgeMs) await rm(path, { recursive: true, force: true });
    }
  }
}
