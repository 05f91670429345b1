/**
 * Variables of the job that must not reach the container: they name programs, libraries, directories and sockets of
 * the node, or make mpirun believe that Slurm is to start its daemons.
 */
const nodeOnly =
  /^(PATH|SHELL|SHLVL|PWD|OLDPWD|_|TMPDIR|TMP|TEMP|HOSTNAME|LD_.*|SLURM.*|SBATCH.*|SRUN.*|SALLOC.*|PMI.*|HYDRA_.*|PRTE_.*|OMPI_(?!MCA_).*|XDG_.*|DBUS_.*|SSH_.*|MODULE.*|__?LM.*|LMOD.*|BASH_.*|RANKSHIFT_.*|NODE_.*)$/;

/** PATH of an image that sets none. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

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
