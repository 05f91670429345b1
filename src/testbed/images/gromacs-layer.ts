import { globSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { cachedDirectory, recipeHash } from './cached-directory.ts';
import { downloadPackages } from './download-packages.ts';
import { layerDir } from './mpi-image.ts';
import { gromacsFiles, gromacsPackages, suite } from './recipes.ts';

/** The layer with GROMACS for the image `mpi`: 80 MB are fetched, 34 MiB of them kept. */
export async function ensureGromacsLayer(nodeImage: string, progress: (line: string) => void): Promise<string> {
  const hex = recipeHash({ kind: 'gromacs', suite, gromacsPackages, gromacsFiles });
  return await cachedDirectory(layerDir(hex), async (layer) => {
    progress('fetching GROMACS (some seconds, once)');
    const unpacked = join(dirname(layer), 'unpacked');
    const packages = await downloadPackages(nodeImage, suite, join(dirname(layer), 'apt'), gromacsPackages);
    for (const file of packages) await run('dpkg-deb', ['--extract', file, unpacked], { timeoutMs: 300_000 });
    for (const pattern of gromacsFiles) {
      const found = globSync(pattern, { cwd: unpacked });
      if (found.length === 0) {
        throw new RankshiftError('E_COMMAND', `the packages ${gromacsPackages.join(', ')} hold no ${pattern}`);
      }
      for (const path of found) {
        mkdirSync(dirname(join(layer, path)), { recursive: true });
        await run('cp', ['--archive', join(unpacked, path), join(layer, path)]);
      }
    }
  });
}
