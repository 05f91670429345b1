import { statfs } from 'node:fs/promises';
import { archiveBytes } from '../container/images/recipe.ts';
import { createStore, missingLayers } from '../container/images/store.ts';
import type { ProbeResult } from '../migration/commands.ts';
import type { AgentContext } from './context.ts';

/** Which of some layers this node lacks, which it could send, and what room its store has. */
export async function probe({ config }: AgentContext, layers: readonly string[]): Promise<ProbeResult> {
  const store = config.imageStore;
  await createStore(store);
  const sizes = await Promise.all(layers.map((digest) => archiveBytes(store, digest).catch(() => null)));
  const archives = layers.flatMap((digest, index) => {
    const bytes = sizes[index] ?? null;
    return bytes === null ? [] : [{ digest, bytes }];
  });
  const { bavail, bsize } = await statfs(store);
  return { missingLayers: await missingLayers(store, layers), archives, storeFreeBytes: bavail * bsize };
}
