import { RankshiftError } from '../../errors.ts';
import { layerBytes } from './layer.ts';
import { withStoreLock } from './lock.ts';
import { parseImageName } from './name.ts';
import type { ImageConfig, ImageRecord } from './record.ts';
import { createStore, missingLayers, writeRecord } from './store.ts';

/**
 * Gives a name to layers that lie in the store already (bottom first).
 * @param digest of the image; that of its last layer where it has none of its own.
 * @throws RankshiftError E_BUSY where a layer was removed in the meantime, E_BAD_INPUT on a malformed name.
 */
export async function registerLayers(
  store: string,
  name: string,
  layers: readonly string[],
  config: ImageConfig,
  digest: string = layers.at(-1) ?? '',
): Promise<ImageRecord> {
  parseImageName(name);
  await createStore(store);
  const sizes = await Promise.all(layers.map((layer) => layerBytes(store, layer).catch(() => 0)));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const importedAt = new Date().toISOString();
  const record: ImageRecord = { version: 1, name, digest, layers: [...layers], config, importedAt, bytes };
  await withStoreLock(store, async () => {
    const missing = await missingLayers(store, layers);
    if (missing.length > 0) {
      const action = 'Import the image again.';
      throw new RankshiftError('E_BUSY', `image ${name}: layers are not in the store: ${missing.join(', ')}`, {
        action,
      });
    }
    await writeRecord(store, record);
  });
  return record;
}
