import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContainerSpec, containerName, launchPort, ownDirectory } from './spec.ts';

export interface BundleOptions {
  /** cgroup2 controllers that the node has for containers; limits that need others are left out. */
  controllers: readonly string[];
  /** Shared directories as resolveSharedPaths found them on this node. */
  sharedPaths: readonly string[];
}

/** Size of /dev/shm where the job sets none; Open MPI's shared-memory transport keeps its segments there. */
const defaultShmBytes = 1 << 30;

/**
 * What runc hides by default, as far as it is files. The directories /proc/acpi, /proc/asound, /proc/scsi and
 * /sys/firmware are hidden from root's containers only: an ordinary user sees them on the node as well, and each one
 * hidden is a tmpfs that CRIU archives with a tar of its own, on both sides of a move.
 */
const maskedFiles = [
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
];
const maskedDirectories = ['/proc/acpi', '/proc/asound', '/proc/scsi', '/sys/firmware'];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** 2^64 - 1, RLIM_INFINITY, is no number of JavaScript; this text stands for it until the file is written. */
const infinity = '@infinity@';

/**
 * Writes bundle/config.json, what runc runs (runtime-spec, config.md). On a move the target takes the source's file
 * over: CRIU wants the same mounts on both sides.
 */
export async function writeBundle(containerDir: string, spec: ContainerSpec, options: BundleOptions): Promise<void> {
  const bundle = join(containerDir, 'bundle');
  await mkdir(bundle, { recursive: true, mode: 0o700 });
  const text = JSON.stringify(bundleConfig(spec, options), null, 1).replaceAll(`"${infinity}"`, '18446744073709551615');
  const file = join(bundle, 'config.json');
  await writeFile(`${file}.new`, text, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

/** cgroup2 controllers that containers of this node can have. */
export async function nodeControllers(cgroupRoot = '/sys/fs/cgroup'): Promise<string[]> {
  const text = await readFile(join(cgroupRoot, 'cgroup.controllers'), 'utf8').catch(() => '');
  return text.split(/\s+/).filter((name) => name !== '');
}

/** The content of config.json. */
export function bundleConfig(spec: ContainerSpec, options: BundleOptions): Record<string, unknown> {
  const none: string[] = [];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: spec.uid, gid: spec.gid, umask: 0o022, additionalGids: spec.groups },
      args: initArguments(spec),
      env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
      cwd: '/',
      capabilities: { bounding: none, effective: none, permitted: none, inheritable: none, ambient: none },
      rlimits: rlimits(spec),
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: false },
    hostname: containerName(spec.index),
    mounts: [...ownMounts(spec), ...options.sharedPaths.map(sharedMount)],
    linux: {
      // No user namespace: CRIU restores the job's ids as they are. No time namespace: the agent makes it at a move.
      namespaces: [
        { type: 'pid' },
        { type: 'mount' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'network', path: `/run/netns/${spec.netns}` },
      ],
      cgroupsPath: spec.cgroupPath,
      resources: resources(spec, options.controllers),
      rootfsPropagation: 'private',
      maskedPaths: spec.uid === 0 ? [...maskedFiles, ...maskedDirectories] : maskedFiles,
      readonlyPaths,
    },
  };
}

function initArguments(spec: ContainerSpec): string[] {
  const own = (name: string) => `${ownDirectory}/${name}`;
  const files = ['--secret-file', own('secret'), '--stdout', own('stdout'), '--stderr', own('stderr')];
  const serve = [own('init'), '--port', String(launchPort), ...files];
  if (spec.command === null) return serve;
  return [...serve, '--exit-file', own('exit'), '--cwd', spec.cwd, '--', ...spec.command];
}

function rlimits({ limits }: ContainerSpec): object[] {
  const both = (type: string, value: number | string) => ({ type, soft: value, hard: value });
  const memlock = limits.memlockBytes === 'unlimited' ? infinity : limits.memlockBytes;
  return [
    ...(limits.nofile === undefined ? [] : [both('RLIMIT_NOFILE', limits.nofile)]),
    ...(memlock === undefined ? [] : [both('RLIMIT_MEMLOCK', memlock)]),
    both('RLIMIT_CORE', 0),
  ];
}

function resources({ limits }: ContainerSpec, controllers: readonly string[]): object {
  const periodMicroseconds = 100_000;
  const { cpus, memoryBytes } = limits;
  return {
    devices: [{ allow: false, access: 'rwm' }],
    ...(cpus !== undefined && controllers.includes('cpu')
      ? { cpu: { period: periodMicroseconds, quota: Math.round(cpus * periodMicroseconds) } }
      : {}),
    ...(memoryBytes !== undefined && controllers.includes('memory') ? { memory: { limit: memoryBytes } } : {}),
  };
}

function ownMounts({ limits }: ContainerSpec): object[] {
  const mount = (destination: string, type: string, source: string, options: string[]) => ({
    destination,
    type,
    source,
    options,
  });
  const strict = ['nosuid', 'noexec', 'nodev'];
  const shm = ['mode=1777', `size=${limits.shmBytes ?? defaultShmBytes}`];
  return [
    mount('/proc', 'proc', 'proc', strict),
    mount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    mount('/dev/pts', 'devpts', 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']),
    mount('/dev/shm', 'tmpfs', 'shm', [...strict, ...shm]),
    mount('/dev/mqueue', 'mqueue', 'mqueue', strict),
    mount('/sys', 'sysfs', 'sysfs', [...strict, 'ro']),
  ];
}

/** One mount point at a time and private: CRIU takes each as external, and can do neither with slaves nor with trees. */
function sharedMount(path: string): object {
  return { destination: path, type: 'bind', source: path, options: ['bind', 'rprivate', 'rw', 'nosuid', 'nodev'] };
}
