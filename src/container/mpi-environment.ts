import { type ContainerHost, ownDirectory } from './spec.ts';

export interface MpiOptions {
  mpi: 'openmpi';
  hosts: readonly ContainerHost[];
  /** True where ranks share processors: they give them up while they wait. */
  oversubscribed?: boolean;
}

export interface MpirunOptions extends MpiOptions {
  ranks: number;
  program: string;
  args: readonly string[];
}

/**
 * The command that PID 1 of the first container starts. Ranks are not bound: processors are the cgroup's business, and
 * those of the next node may have other numbers.
 */
export function mpirunCommand({ ranks, program, args }: MpirunOptions): string[] {
  const hostfile = `${ownDirectory}/hostfile`;
  // --leave-session-attached: otherwise a second prted waits in every container for the whole job.
  return [
    'mpirun',
    '--leave-session-attached',
    '--hostfile',
    hostfile,
    '-n',
    String(ranks),
    '--bind-to',
    'none',
    program,
    ...args,
  ];
}

/**
 * What makes Open MPI 5 (with PRRTE 3) run over the job's containers: its daemons are started by our PID 1 instead of
 * ssh, and ranks of different containers talk TCP over the job's overlay, because that is what can move.
 */
export function mpiEnvironment({ hosts, oversubscribed = false }: MpiOptions): Record<string, string> {
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

/**
 * Variables of the job that must not reach the container: they name programs, libraries, directories and sockets of
 * the node, or make mpirun believe that Slurm is to start its daemons.
 */
const nodeOnly =
  /^(PATH|SHELL|SHLVL|PWD|OLDPWD|_|TMPDIR|TMP|TEMP|HOSTNAME|LD_.*|SLURM.*|SBATCH.*|SRUN.*|SALLOC.*|PMI.*|PRTE_.*|OMPI_(?!MCA_).*|XDG_.*|DBUS_.*|SSH_.*|MODULE.*|__?LM.*|LMOD.*|BASH_.*|RANKSHIFT_.*|NODE_.*)$/;

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface EnvironmentOptions {
  /** `NAME=value` lines of the image's configuration. */
  image: readonly string[];
  /** Environment of the job's script. */
  job: Readonly<Record<string, string>>;
  user: string;
  home: string;
  jobId: number;
  mpi: Record<string, string>;
}

/** The environment of a container's processes: the image's, then the job's, then what the launch needs. */
export function containerEnvironment(options: EnvironmentOptions): Record<string, string> {
  const { image, job, user, home, jobId, mpi } = options;
  const ofImage = image.map((line): [string, string] => {
    const equals = line.indexOf('=');
    return [line.slice(0, equals), line.slice(equals + 1)];
  });
  const ofJob = Object.entries(job).filter(([name]) => !nodeOnly.test(name));
  return {
    PATH: defaultPath,
    ...Object.fromEntries(ofImage),
    ...Object.fromEntries(ofJob),
    HOME: home,
    USER: user,
    LOGNAME: user,
    RANKSHIFT_JOB_ID: String(jobId),
    ...mpi,
  };
}
