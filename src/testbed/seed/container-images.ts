import { mkdirSync } from 'node:fs';
import { createStore, layerPath, writeRecord } from '../../container/images/store.ts';
import type { Layer } from '../images/ensure-images.ts';
import { testProgramDir } from '../images/test-programs.ts';

/**
 * Registers cached layers as an image in a testbed's store. The store gets empty directories; the nodes mount the cached
 * layers over them, read-only, so a testbed's store is there at once and shared by all.
 */
export async function writeContainerImage(store: string, name: string, layers: readonly Layer[]): Promise<void> {
  await createStore(store);
  const digests = layers.map(({ hex }) => `sha256:${hex}`);
  for (const digest of digests) mkdirSync(layerPath(store, digest), { recursive: true });
  await writeRecord(store, {
    version: 1,
    name,
    digest: digests.at(-1) ?? '',
    layers: digests,
    config: {
      env: [`PATH=${testProgramDir}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`, 'LANG=C.UTF-8'],
    },
    importedAt: new Date().toISOString(),
    bytes: layers.reduce((sum, { bytes }) => sum + bytes, 0),
  });
}
