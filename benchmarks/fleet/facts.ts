import type { ContainerFacts } from '../../src/migration/commands.ts';
import type { Shape } from './shape.ts';

/** What a node knows of one of the fleet's containers. */
export function factsOf({ containersPerJob }: Shape, id: string): ContainerFacts {
  const [job = 1, index = 0] = id.split('.').map(Number);
  return {
    ...{
      id,
      job,
      index,
      run: '0123456789abcdef',
      uid: 1000,
      gid: 1000,
      user: 'alice',
      home: '/home/alice',
      groups: [],
    },
    ...{ image: 'mpi', layers: [`sha256:${'0'.repeat(64)}`], imageEnvironment: [], environment: ['LANG=C.UTF-8'] },
    ...{ workDir: '/home/alice', mpi: 'openmpi', mpiStarter: 'mpirun', shim: true, program: null },
    ...{ ranksPerContainer: 1, cpus: 1, memoryBytes: null, containers: containersPerJob },
  };
}
