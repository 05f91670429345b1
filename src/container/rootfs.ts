import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';

/** overlayfs stacks at most so many lower layers (fs/overlayfs, OVL_MAX_STACK). */
const maximumLayers = 500;

/**
 * `redirect_dir=nofollow,metacopy=off,index=off`: the upper directory moves to other nodes, so it must make sense
 * without anything that refers to this node's lower layers.
 */
const overlayOptions = 'redirect_dir=nofollow,metacopy=off,index=off';

export interface RootfsSpec {
  /** Absolute directories of the layers, top first. */
  layers: readonly string[];
  /** The container's directory on this node; gets upper/, work/, lower/ and bundle/rootfs. */
  containerDir: string;
}

/** Paths inside a container's directory. */
export function rootfsPath(containerDir: string): string {
  return join(containerDir, 'bundle', 'rootfs');
}

export function upperPath(containerDir: string): string {
  return join(containerDir, 'upper');
}

/**
 * Mounts the container's root file system: its layers read-only, its own upper directory above them. Idempotent: a
 * mount that is there is kept.
 * @throws RankshiftError E_BAD_INPUT on relative or too many layers, E_COMMAND where the kernel refuses the mount.
 */
export async function mountRootfs(spec: RootfsSpec): Promise<void> {
  const { layers, containerDir } = spec;
  if (layers.length === 0 || layers.length > maximumLayers || !layers.every((layer) => isAbsolute(layer))) {
    throw new RankshiftError(
      'E_BAD_INPUT',
      `a root file system takes 1 to ${maximumLayers} absolute layer directories`,
    );
  }
  await prepareContainerDir(containerDir);
  if (await isMounted(rootfsPath(containerDir))) return;
  // Short links, named relative to the working directory: mount(2) takes at most one page of options, in which about
  // forty full paths would fit, and the paths may hold characters that the option string gives another meaning.
  const links = join(containerDir, 'lower');
  await rm(links, { recursive: true, force: true });
  await mkdir(links, { mode: 0o700 });
  await Promise.all(layers.map((layer, index) => symlink(layer, join(links, String(index)))));
  const lower = layers.map((_, index) => `lower/${index}`).join(':');
  await run(
    'mount',
    [
      '-t',
      'overlay',
      '-o',
      `lowerdir=${lower},upperdir=upper,workdir=work,${overlayOptions}`,
      'overlay',
      'bundle/rootfs',
    ],
    // util-linux from 2.39 on would use fsconfig(2), which takes at most 255 bytes per option.
    { cwd: containerDir, env: { LIBMOUNT_FORCE_MOUNT2: 'always' } },
  );
}

/**
 * Makes the directories of a container. They are open to root alone; upper/ is the root directory that the container
 * sees, hence 0755.
 */
export async function prepareContainerDir(containerDir: string): Promise<void> {
  await mkdir(containerDir, { recursive: true, mode: 0o700 });
  await mkdir(join(containerDir, 'work'), { recursive: true, mode: 0o700 });
  await mkdir(upperPath(containerDir), { recursive: true, mode: 0o755 });
  await mkdir(rootfsPath(containerDir), { recursive: true, mode: 0o700 });
}

/**
 * Takes the mount away; where something still uses it, it is detached and goes with its last user. Idempotent. The
 * directories stay: the caller removes the container's directory as a whole.
 */
export async function unmountRootfs(containerDir: string): Promise<void> {
  const rootfs = rootfsPath(containerDir);
  while (await isMounted(rootfs)) {
    const { exitCode } = await run('umount', [rootfs], { allow: 'any' });
    if (exitCode !== 0) await run('umount', ['--lazy', rootfs]);
  }
}

/** True where a mount point lies exactly at the path. */
export async function isMounted(path: string): Promise<boolean> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return mounts.split('\n').some((line) => unescapeMountPath(line.split(' ')[4] ?? '') === path);
}

/** Mount points below a directory, those that were mounted last first. */
export async function mountsBelow(directory: string): Promise<string[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return mounts
    .split('\n')
    .map((line) => unescapeMountPath(line.split(' ')[4] ?? ''))
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}

/** mountinfo writes space, tab, newline and backslash as octal (proc_pid_mountinfo(5)). */
export function unescapeMountPath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
