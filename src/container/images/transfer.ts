import { extractLayer } from './layer.ts';
import { archiveOf } from './recipe.ts';
import { createStore, hasLayer } from './store.ts';

/** Chunks of this size go well through a channel. */
const chunkBytes = 524_288;

/** The archive of a layer of the store as it was imported, for another node's store. */
export async function* packLayer(store: string, digest: string): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let bytes = 0;
  for await (const part of archiveOf(store, digest)) {
    gathered.push(part);
    bytes += part.length;
    if (bytes < chunkBytes) continue;
    yield Buffer.concat(gathered);
    gathered = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(gathered);
}

export interface ReceiveLayerOptions {
  /** Names the temporary directory, so that a later start of the receiver finds it. */
  label?: string;
  signal?: AbortSignal;
}

/**
 * Takes a layer of another node's store into this one, as an import would: checked entry by entry, and as a whole by its
 * digest before it is seen. A layer that is there is kept.
 * @throws RankshiftError E_IMAGE where what comes is not that layer, or not acceptable.
 */
export async function receiveLayer(
  store: string,
  digest: string,
  stream: AsyncIterable<Uint8Array>,
  options: ReceiveLayerOptions = {},
): Promise<void> {
  await createStore(store);
  if (await hasLayer(store, digest)) return;
  await extractLayer(store, stream, { whiteouts: true, expected: digest, ...options });
}
