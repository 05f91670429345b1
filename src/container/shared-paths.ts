import { readFile, realpath, stat } from 'node:fs/promises';
import { isAbsolute, normalize } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { unescapeMountPath } from './rootfs.ts';

/** Directories that are the container's own or the kernel's; sharing the node's would break or open the container. */
const forbidden = [
  '/',
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/etc',
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib64',
  '/.rankshift',
];

/** Mounts that hold no files of users. */
const skippedTypes = new Set([
  'autofs',
  'proc',
  'sysfs',
  'cgroup',
  'cgroup2',
  'devtmpfs',
  'devpts',
  'mqueue',
  'overlay',
]);

/**
 * The shared directories that exist on this node, each followed by the mount points below it (home directories that
 * are mounted one by one, for example), outermost first. Each becomes a bind mount of its own.
 * @param mountinfo content of /proc/self/mountinfo; read where it is not given.
 * @throws RankshiftError E_CONFIG for a path that must not be shared, or that leads through a symbolic link.
 */
export async function resolveSharedPaths(paths: readonly string[], mountinfo?: string): Promise<string[]> {
  const mounts = parseMounts(mountinfo ?? (await readFile('/proc/self/mountinfo', 'utf8')));
  const found = new Set<string>();
  for (const path of paths) {
    if (!isAbsolute(path) || normalize(path) !== path || forbidden.some((one) => path === one || inside(path, one))) {
      throw new RankshiftError('E_CONFIG', `SharedPaths: ${path} cannot be shared with rank containers`);
    }
    const there = await stat(path).catch(() => null);
    if (there === null) continue;
    if (!there.isDirectory() || (await realpath(path)) !== path) {
      throw new RankshiftError('E_CONFIG', `SharedPaths: ${path} is not a directory, or leads through a symbolic link`);
    }
    found.add(path);
    for (const { path: mount, type } of mounts) if (inside(mount, path) && !skippedTypes.has(type)) found.add(mount);
  }
  return [...found].sort();
}

function inside(path: string, directory: string): boolean {
  return directory !== '/' && path.startsWith(`${directory}/`);
}

/** Mount points and their file system types (proc_pid_mountinfo(5)). */
function parseMounts(mountinfo: string): { path: string; type: string }[] {
  return mountinfo
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [front = '', back = ''] = line.split(' - ');
      return { path: unescapeMountPath(front.split(' ')[4] ?? ''), type: back.split(' ')[0] ?? '' };
    });
}
