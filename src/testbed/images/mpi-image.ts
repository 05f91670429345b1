import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir, scriptDir } from '../paths.ts';
import { bootstrap } from './bootstrap.ts';
import { cachedDirectory, recipeHash } from './cached-directory.ts';
import {
  compilerPackages,
  mpichCompilerPackages,
  mpichPackages,
  mpiPackages,
  mpiPathExcludes,
  pathExcludes,
  suite,
} from './recipes.ts';

const customize = join(scriptDir, 'customize-container-image');

/** Directory of a layer in the cache: the same shape as in an image store. */
export function layerDir(hex: string): string {
  return join(cacheDir(), 'layers', 'sha256', hex);
}

/** The two container images of a testbed differ in their MPI; each is the base layer and one with the test programs. */
export type MpiImage = 'mpi' | 'mpich';

const bases = {
  mpi: { packages: mpiPackages, pathExcludes: mpiPathExcludes, holds: 'Open MPI and LAMMPS' },
  mpich: { packages: mpichPackages, pathExcludes, holds: 'MPICH' },
};

const compilers = { mpi: compilerPackages, mpich: mpichCompilerPackages };

/** Identity of the base layer of an image: the hash of its recipe. */
function baseLayerHash(image: MpiImage): string {
  const script = readFileSync(customize, 'utf8');
  if (image === 'mpi') return recipeHash({ kind: 'mpi', suite, mpiPackages, mpiPathExcludes, script });
  return recipeHash({ kind: image, suite, packages: bases[image].packages, pathExcludes, script });
}

/** Builds the base layer of an image where the cache lacks it (up to two minutes). */
export async function ensureBaseLayer(image: MpiImage, progress: (line: string) => void): Promise<string> {
  return await cachedDirectory(layerDir(baseLayerHash(image)), async (root) => {
    const { packages, pathExcludes, holds } = bases[image];
    progress(`building the container image with ${holds} (about a minute, once)`);
    await bootstrap(root, { packages, pathExcludes, customize });
  });
}

/** Builds the root file system with compiler and MPI headers of an image where the cache lacks it. */
export async function ensureCompilerRoot(image: MpiImage, progress: (line: string) => void): Promise<string> {
  const script = readFileSync(customize, 'utf8');
  const compilerPackages = compilers[image];
  const hash = recipeHash({ kind: 'compiler', suite, compilerPackages, pathExcludes, script });
  return await cachedDirectory(join(cacheDir(), 'compiler-roots', hash.slice(0, 16)), async (root) => {
    progress(`building the root with the compiler of the test programs for ${bases[image].holds} (a minute, once)`);
    await bootstrap(root, { packages: compilerPackages, pathExcludes, customize });
  });
}
