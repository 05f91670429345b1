import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { withStoreLock } from './lock.ts';
import { recordFileName } from './name.ts';
import { recipePath } from './recipe.ts';
import { layerPath, layersDir, listImages, recordsDir, resolveImage, temporaryPrefix } from './store.ts';

export interface RemoveImageOptions {
  /** Names of images that containers of this node use now. */
  inUse: readonly string[];
}

/**
 * Removes an image and the layers that no other image uses.
 * @returns the digests of the removed layers.
 * @throws RankshiftError E_UNKNOWN_IMAGE, E_BUSY where a container uses the image.
 */
export async function removeImage(store: string, name: string, options: RemoveImageOptions): Promise<string[]> {
  await resolveImage(store, name);
  const { removed, trash } = await withStoreLock(store, async () => {
    const image = await resolveImage(store, name);
    if (options.inUse.includes(name)) {
      throw new RankshiftError('E_BUSY', `image ${name} is used by a rank container`);
    }
    await rm(join(recordsDir(store), recordFileName(name)));
    const kept = new Set((await listImages(store)).flatMap((other) => other.layers));
    const removed = [...new Set(image.layers)].filter((digest) => !kept.has(digest));
    const trash: string[] = [];
    for (const digest of removed) {
      // Out of sight in one step; deleting a large tree takes its time and needs no lock.
      const place = join(layersDir(store), `${temporaryPrefix}${crypto.randomUUID()}`);
      await rename(layerPath(store, digest), place).then(
        () => trash.push(place),
        (cause: NodeJS.ErrnoException) => {
          if (cause.code !== 'ENOENT') throw cause;
        },
      );
      await rm(recipePath(store, digest), { force: true });
    }
    return { removed, trash };
  });
  for (const place of trash) await rm(place, { recursive: true, force: true });
  return removed;
}
