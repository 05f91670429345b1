import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { guardedTar } from '../tar/guard.ts';
import { createTar, extractTar } from '../tar/process.ts';
import { publishLayer } from './layer.ts';
import { createStore, hasLayer, layerPath, layersDir, temporaryPrefix } from './store.ts';

/** A layer of many gigabytes over a slow link; whatever takes longer hangs. */
const transferTimeoutMs = 2 * 3_600_000;

/** A layer of the store, in overlayfs form, as a stream for another node's store. */
export function packLayer(store: string, digest: string): Readable {
  return createTar(layerPath(store, digest), [], { code: 'E_COMMAND', timeoutMs: transferTimeoutMs });
}

/**
 * Takes a layer of another node's store into this one. Its digest is the sender's word (it was verified when the image
 * was imported there), so the stream must come from an agent of the cluster. A layer that is there is kept.
 * @throws RankshiftError E_LINK where the stream is cut short or not acceptable.
 */
export async function receiveLayer(store: string, digest: string, stream: AsyncIterable<Uint8Array>): Promise<void> {
  await createStore(store);
  if (await hasLayer(store, digest)) return;
  const temporary = await mkdtemp(join(layersDir(store), temporaryPrefix));
  try {
    const content = join(temporary, 'content');
    await mkdir(content, { mode: 0o755 });
    await extractTar(guardedTar(stream), content, { code: 'E_LINK', timeoutMs: transferTimeoutMs });
    await publishLayer(store, content, digest);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
