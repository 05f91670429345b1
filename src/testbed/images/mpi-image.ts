import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir, scriptDir } from '../paths.ts';
import { bootstrap } from './bootstrap.ts';
import { cachedDirectory, recipeHash } from './cached-directory.ts';
import { compilerPackages, mpiPackages, mpiPathExcludes, pathExcludes, suite } from './recipes.ts';

const customize = join(scriptDir, 'customize-container-image');

/** Directory of a layer in the cache: the same shape as in an image store. */
export function layerDir(hex: string): string {
  return join(cacheDir(), 'layers', 'sha256', hex);
}

/** Identity of the base layer of the image `mpi`: the hash of its recipe. */
export function mpiLayerHash(): string {
  const script = readFileSync(customize, 'utf8');
  return recipeHash({ kind: 'mpi', suite, mpiPackages, mpiPathExcludes, script });
}

/** Builds the base layer (Open MPI, LAMMPS) where the cache lacks it (one to two minutes). */
export async function ensureMpiLayer(progress: (line: string) => void): Promise<string> {
  return await cachedDirectory(layerDir(mpiLayerHash()), async (root) => {
    progress('building the container image with Open MPI and LAMMPS (about a minute, once)');
    await bootstrap(root, { packages: mpiPackages, pathExcludes: mpiPathExcludes, customize });
  });
}

/** Builds the root file system with compiler and MPI headers where the cache lacks it. */
export async function ensureCompilerRoot(progress: (line: string) => void): Promise<string> {
  const script = readFileSync(customize, 'utf8');
  const hash = recipeHash({ kind: 'compiler', suite, compilerPackages, pathExcludes, script });
  return await cachedDirectory(join(cacheDir(), 'compiler-roots', hash.slice(0, 16)), async (root) => {
    progress('building the root with the compiler of the test programs (about a minute, once)');
    await bootstrap(root, { packages: compilerPackages, pathExcludes, customize });
  });
}
