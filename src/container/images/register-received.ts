import { RankshiftError } from '../../errors.ts';
import type { ImageRecord } from './record.ts';
import { registerLayers } from './register.ts';
import { listImages, resolveImage } from './store.ts';

/**
 * Names an image whose layers came from another node, as it is called there. Where another image has that name here,
 * it is called by its digest besides, so that it can be seen and removed.
 * @throws RankshiftError as registerLayers.
 */
export async function registerReceived(
  store: string,
  name: string,
  layers: readonly string[],
  { config, digest }: Pick<ImageRecord, 'config' | 'digest'>,
): Promise<ImageRecord> {
  const all = await listImages(store);
  const known = all.find((image) => image.layers.join() === layers.join());
  if (known !== undefined) return known;
  const taken = await resolveImage(store, name).catch((error: unknown) => {
    if (RankshiftError.from(error).code === 'E_UNKNOWN_IMAGE') return null;
    throw error;
  });
  const free = taken === null ? name : `${name}:${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
  return registerLayers(store, free, layers, config, digest);
}
