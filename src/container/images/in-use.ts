import { readdir, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Config } from '../../config.ts';
import { listImages } from './store.ts';

/** Names of the images on which rank containers of this node stand, by the layers that their root file systems use. */
export async function imagesInUse(config: Config): Promise<string[]> {
  const containers = join(config.stateDir, 'containers');
  const used = new Set<string>();
  for (const container of await readdir(containers).catch(() => [] as string[])) {
    const links = join(containers, container, 'lower');
    const count = (await readdir(links).catch(() => [] as string[])).length;
    const layers: string[] = [];
    // lower/0 is the top layer, a record has the bottom first.
    for (let index = count - 1; index >= 0; index--) {
      const target = await readlink(join(links, String(index))).catch(() => '');
      layers.push(`sha256:${basename(target)}`);
    }
    if (count > 0) used.add(layers.join());
  }
  return (await listImages(config.imageStore)).filter(({ layers }) => used.has(layers.join())).map(({ name }) => name);
}
