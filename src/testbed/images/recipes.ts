/** What the images hold. A change here gives the image another name in the cache, and so a new build. */

export const suite = 'trixie';

/** Left out everywhere: nothing in a testbed reads them. */
export const pathExcludes = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*'];

/** Every node of the testbed: management, login and compute nodes run from one image. */
export const nodePackages = [
  // Slurm, and what identifies its users
  ...['slurmctld', 'slurmd', 'slurm-client', 'munge'],
  // the service
  ...['redis-server', 'runc', 'criu', 'iproute2', 'iptables', 'nftables', 'hwloc-nox', 'openssl', 'ca-certificates'],
  // a node
  ...['tini', 'util-linux', 'procps', 'kmod', 'openssh-server', 'openssh-client', 'rsync', 'iputils-ping'],
  // what the benchmarks compare with
  ...['podman', 'crun', 'tar', 'zstd', 'xz-utils', 'skopeo'],
  // a person who looks around
  ...['less', 'vim-tiny', 'nano', 'file', 'lsof', 'strace', 'tcpdump', 'ethtool'],
];

/** The container image `mpi`. */
export const mpiPackages = ['openmpi-bin', 'lammps'];
export const mpiPathExcludes = [...pathExcludes, '/usr/share/javascript/*', '/usr/share/lammps/*'];

/**
 * The layer of the container image `gromacs`, over that of `mpi`, which has all else that these are linked with. Unpacked,
 * and only this of it: the package of the data holds 350 MB of documentation, the libraries come four times.
 */
export const gromacsPackages = ['gromacs', 'libgromacs10', 'gromacs-data', 'libfftw3-single3', 'libmuparser2v5'];
export const gromacsFiles = [
  'usr/bin/gmx_mpi',
  'usr/lib/x86_64-linux-gnu/libgromacs_mpi.so.*',
  'usr/lib/x86_64-linux-gnu/libfftw3f.so.*',
  'usr/lib/x86_64-linux-gnu/libmuparser.so.*',
  'usr/share/gromacs/top',
];

/** Where the test programs are compiled: the MPI of the container image with a compiler. */
export const compilerPackages = ['openmpi-bin', 'libopenmpi-dev', 'gcc', 'libc6-dev', 'make'];

/** The container image `mpich`, and where its test programs are compiled. */
export const mpichPackages = ['mpich'];
export const mpichCompilerPackages = ['mpich', 'libmpich-dev', 'gcc', 'libc6-dev', 'make'];

/** Brought in from the newer suite where the suite's own CRIU fails on the running kernel. */
export const newerSuite = 'sid';
export const newerCriuPackages = ['criu', 'libcompel1', 'libnet9', 'libnl-3-200'];
