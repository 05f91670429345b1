import { basename, dirname } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { resolveInImage } from '../image-path.ts';
import { defaultPath } from '../mpi-environment.ts';
import type { MpiKind } from './launch-plan.ts';

export interface FoundMpi {
  mpi: MpiKind;
  /** Name of the program in the image's PATH that starts its ranks. */
  starter: string;
}

export interface ImageToSearch {
  name: string;
  /** Absolute directories of the layers, top first. */
  layers: readonly string[];
  /** `NAME=value` lines of its configuration. */
  environment: readonly string[];
}

/** Programs that start ranks, as upstream and as Debian's alternatives name them. */
const starters: Record<MpiKind, readonly string[]> = {
  openmpi: ['mpirun', 'mpiexec', 'mpirun.openmpi', 'mpiexec.openmpi'],
  mpich: ['mpiexec.hydra', 'mpirun', 'mpiexec', 'mpirun.mpich', 'mpiexec.mpich'],
};

const titles: Record<MpiKind, string> = { openmpi: 'Open MPI', mpich: 'MPICH' };

/**
 * Which MPI an image has, and by what name it starts. `auto` takes the one whose `mpirun` a shell in the container would
 * find.
 * @throws RankshiftError E_IMAGE where the image has none, or not the one that is wanted.
 */
export async function findMpi(image: ImageToSearch, wanted: MpiKind | 'auto'): Promise<FoundMpi> {
  if (wanted === 'auto') {
    for (const starter of ['mpirun', 'mpiexec', 'mpiexec.hydra']) {
      const mpi = await kindOf(image, starter);
      if (mpi !== null) return { mpi, starter };
    }
    throw new RankshiftError(
      'E_IMAGE',
      `the image ${image.name} has no MPI: no mpirun of Open MPI or MPICH in its PATH`,
      {
        action: 'Name another image with --image, or import one that has an MPI: docs/mpi.md',
      },
    );
  }
  for (const starter of starters[wanted]) {
    if ((await kindOf(image, starter)) === wanted) return { mpi: wanted, starter };
  }
  const others = await findMpi(image, 'auto').catch(() => null);
  const has = others === null ? 'it has no other either' : `it has ${titles[others.mpi]} (--mpi ${others.mpi})`;
  throw new RankshiftError('E_IMAGE', `the image ${image.name} has no ${titles[wanted]} in its PATH; ${has}`, {
    action: `Name an image that has ${titles[wanted]} with --image, or leave --mpi out.`,
  });
}

/** Whose the first program of that name in PATH is; null where there is none, or it is neither's. */
async function kindOf(image: ImageToSearch, program: string): Promise<MpiKind | null> {
  const pathLine = image.environment.find((line) => line.startsWith('PATH='))?.slice('PATH='.length) ?? defaultPath;
  for (const directory of pathLine.split(':').filter((one) => one.startsWith('/'))) {
    const file = await resolveInImage(image.layers, `${directory}/${program}`);
    if (file === null) continue;
    if (/^mpi(run|exec)\.hydra$/.test(basename(file))) return 'mpich';
    const beside = await resolveInImage(image.layers, `${dirname(file)}/ompi_info`);
    return beside === null ? null : 'openmpi';
  }
  return null;
}
