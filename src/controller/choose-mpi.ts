import type { Config } from '../config.ts';
import type { ImageRecord } from '../container/images/record.ts';
import { layerPath, missingLayers } from '../container/images/store.ts';
import { type FoundMpi, findMpi } from '../container/mpi/find-mpi.ts';
import type { MpiKind } from '../container/mpi/launch-plan.ts';

/**
 * The MPI of a run, as its image has it. Where the controller's own store has the record but not all layers, nothing can
 * be looked up, and what was asked for is taken at its word; Open MPI where nothing was.
 * @throws RankshiftError E_IMAGE where the image has none, or not the one that is wanted.
 */
export async function chooseMpi(config: Config, image: ImageRecord, wanted: MpiKind | 'auto'): Promise<FoundMpi> {
  const store = config.imageStore;
  if ((await missingLayers(store, image.layers)).length > 0) {
    return wanted === 'mpich' ? { mpi: 'mpich', starter: 'mpiexec.hydra' } : { mpi: 'openmpi', starter: 'mpirun' };
  }
  const layers = image.layers.map((digest) => layerPath(store, digest)).reverse();
  return await findMpi({ name: image.name, layers, environment: image.config.env }, wanted);
}
