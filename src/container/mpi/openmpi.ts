import { ownDirectory } from '../spec.ts';
import type { CommandOptions, MpiOptions } from './launch-plan.ts';

export function openMpiCommand({ starter, ranks, preload, program, args }: CommandOptions): string[] {
  const hostfile = `${ownDirectory}/hostfile`;
  // --leave-session-attached: otherwise a second prted waits in every container for the whole job.
  return [
    starter,
    '--leave-session-attached',
    '--hostfile',
    hostfile,
    '-n',
    String(ranks),
    '--bind-to',
    'none',
    ...(preload === null ? [] : ['-x', `LD_PRELOAD=${preload}`]),
    program,
    ...args,
  ];
}

/** For Open MPI 5 with PRRTE 3. */
export function openMpiEnvironment({ hosts, oversubscribed = false }: MpiOptions): Record<string, string> {
  const sharedMemory = hosts.some(({ slots }) => slots > 1);
  return {
    PRTE_MCA_plm: 'ssh',
    PRTE_MCA_plm_ssh_agent: `${ownDirectory}/rsh`,
    // Every daemon is started by the first container's mpirun: a chain of daemons would start later, not sooner.
    PRTE_MCA_plm_ssh_no_tree_spawn: '1',
    PRTE_MCA_prte_if_include: 'eth0',
    // What stands beside the ranks is frozen and dumped with them: few threads, few mappings (docs/c-programs.md).
    PRTE_MCA_odls_base_max_threads: '0',
    HWLOC_PLUGINS_PATH: ownDirectory,
    PMIX_MCA_gds: 'hash',
    OMPI_MCA_pml: 'ob1',
    OMPI_MCA_btl: sharedMemory ? 'tcp,self,sm' : 'tcp,self',
    OMPI_MCA_btl_tcp_if_include: 'eth0',
    OMPI_MCA_osc: '^ucx',
    ...(oversubscribed ? { OMPI_MCA_mpi_yield_when_idle: '1' } : {}),
  };
}
