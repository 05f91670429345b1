import { mkdir } from 'node:fs/promises';
import { type Config, migrationDir } from '../config.ts';
import { isMounted, mountsBelow } from '../container/rootfs.ts';
import { run } from '../process/run.ts';
import { removeDirectory } from './files.ts';
import { imageDirOf, workDirOf } from './local-handle.ts';

/**
 * The directory of a migration with its images on a memory file system of bounded size: no page and no metadata of a
 * move touches a disk. Removed by unmountMigration.
 */
export async function mountMigration(config: Config, migration: string, bytes: number): Promise<void> {
  const images = imageDirOf(config, migration);
  await mkdir(images, { recursive: true, mode: 0o700 });
  await mkdir(workDirOf(config, migration), { recursive: true, mode: 0o700 });
  if (await isMounted(images)) return;
  await run('mount', ['-t', 'tmpfs', '-o', `size=${Math.ceil(bytes)},mode=0700,nodev,nosuid`, 'rankshift', images]);
}

/** Takes away every mount below: also the cgroups that a CRIU which was killed leaves mounted in its work directory. */
export async function unmountMigration(config: Config, migration: string): Promise<void> {
  const directory = migrationDir(config, migration);
  // Lazy: a CRIU that is still ending may hold it.
  for (const path of await mountsBelow(directory)) await run('umount', ['-l', path]);
  await removeDirectory(directory);
}
