import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir, scriptDir } from '../paths.ts';
import { bootstrap } from './bootstrap.ts';
import { cachedDirectory, recipeHash } from './cached-directory.ts';
import { nodePackages, pathExcludes, suite } from './recipes.ts';

/** Directory of the node image in the cache, whether it exists or not. */
export function nodeImageDir(): string {
  const customize = readFileSync(join(scriptDir, 'customize-node-image'), 'utf8');
  const hash = recipeHash({ kind: 'node', suite, nodePackages, pathExcludes, customize });
  return join(cacheDir(), 'node-images', hash.slice(0, 16));
}

/** Builds the node image where the cache lacks it (about a minute). Returns its directory. */
export async function ensureNodeImage(progress: (line: string) => void): Promise<string> {
  return await cachedDirectory(nodeImageDir(), async (root) => {
    progress('building the node image (about a minute, once)');
    const customize = join(scriptDir, 'customize-node-image');
    await bootstrap(root, { packages: nodePackages, pathExcludes, customize });
  });
}
