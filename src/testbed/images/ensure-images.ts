import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from '../../process/run.ts';
import { withWorkingCriu } from './criu-choice.ts';
import { ensureGromacsLayer } from './gromacs-layer.ts';
import { ensureBaseLayer, type MpiImage } from './mpi-image.ts';
import { ensureNodeImage } from './node-image.ts';
import { ensureTestPrograms } from './test-programs.ts';

export interface Layer {
  hex: string;
  dir: string;
  bytes: number;
}

export interface Images {
  /** Lower directories of a node's root, uppermost first; the last is the node image itself. */
  nodeLower: string[];
  /** Layers of each container image, bottom first. */
  containers: Record<MpiImage, Layer[]> & { gromacs?: Layer[] };
}

export interface ImageOptions {
  /** Add the image `gromacs`, which is `mpi` with GROMACS. @defaultValue false */
  gromacs?: boolean;
}

/** Everything a testbed is made from, built where the cache lacks it; a few milliseconds where it does not. */
export async function ensureImages(
  progress: (line: string) => void,
  { gromacs = false }: ImageOptions = {},
): Promise<Images> {
  const node = await ensureNodeImage(progress);
  const nodeLower = await withWorkingCriu(node, progress);
  const mpi = await layersOf('mpi', progress);
  const mpich = await layersOf('mpich', progress);
  if (!gromacs) return { nodeLower, containers: { mpi, mpich } };
  const layer = await layerOf(await ensureGromacsLayer(node, progress));
  return { nodeLower, containers: { mpi, mpich, gromacs: [...mpi, layer] } };
}

async function layersOf(image: MpiImage, progress: (line: string) => void): Promise<Layer[]> {
  const base = await ensureBaseLayer(image, progress);
  const programs = await ensureTestPrograms(image, progress);
  return await Promise.all([base, ...(programs === undefined ? [] : [programs])].map(layerOf));
}

/** Describes a cached layer; its size is measured once and kept beside it. */
async function layerOf(dir: string): Promise<Layer> {
  const hex = dir.slice(dir.lastIndexOf('/') + 1);
  const sizeFile = join(dirname(dir), `.${hex}.bytes`);
  if (!existsSync(sizeFile)) {
    const { stdout } = await run('du', ['--summarize', '--bytes', dir], { timeoutMs: 120_000 });
    writeFileSync(sizeFile, stdout.split('\t')[0] ?? '0');
  }
  return { hex, dir, bytes: Number(readFileSync(sizeFile, 'utf8')) };
}
