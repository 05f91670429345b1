import { ownDirectory } from '../spec.ts';
import type { CommandOptions } from './launch-plan.ts';

export function mpichCommand({ starter, ranks, preload, program, args }: CommandOptions): string[] {
  return [
    starter,
    // Not Slurm, which hydra looks for in the environment: hosts come from our file, daemons from our PID 1.
    ...['-rmk', 'user', '-launcher', 'ssh', '-launcher-exec', `${ownDirectory}/rsh`],
    ...['-f', `${ownDirectory}/hostfile.hydra`, '-n', String(ranks), '-bind-to', 'none'],
    ...(preload === null ? [] : ['-genv', 'LD_PRELOAD', preload]),
    program,
    ...args,
  ];
}

/**
 * For MPICH 4 over UCX (`ch4:ucx`, as Debian builds it) and over libfabric (`ch4:ofi`). Ranks of one container use
 * MPICH's own shared memory, which lies in the container's /dev/shm; UCX and libfabric carry nothing but TCP.
 */
export function mpichEnvironment(): Record<string, string> {
  return {
    UCX_TLS: 'tcp,self',
    UCX_NET_DEVICES: 'eth0',
    // A freeze is no death: otherwise the peers give a connection up after 16 s without an answer.
    UCX_TCP_KEEPIDLE: 'inf',
    // A server of UCX's own state for debuggers, with inotify in /tmp.
    UCX_VFS_ENABLE: 'n',
    UCX_WARN_UNUSED_ENV_VARS: 'n',
    FI_PROVIDER: 'tcp',
    FI_TCP_IFACE: 'eth0',
    HWLOC_PLUGINS_PATH: ownDirectory,
  };
}
