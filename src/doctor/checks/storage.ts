import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../../process/run.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, warning } from '../finding.ts';

const gibibyte = 1024 ** 3;
const leastBytes = gibibyte;
const comfortableBytes = 10 * gibibyte;

/** f_type of statfs(2). */
const fileSystems: Record<number, string> = {
  2035054128: 'overlayfs',
  16914836: 'tmpfs',
  26985: 'NFS',
  198183888: 'Lustre',
  1702057286: 'FUSE',
};

export const storage: Check = {
  name: 'storage',
  roles: ['agent'],
  examine: async (context) => {
    const place = existing(context.config.stateDir);
    return [await space(context, place), ...(context.root ? [await upperDirectory(context, place)] : [])];
  },
};

/** The directory, or the nearest above it that exists: the agent makes the rest. */
function existing(directory: string): string {
  return existsSync(directory) || directory === '/' ? directory : existing(dirname(directory));
}

async function space({ config }: DoctorContext, place: string): Promise<Finding> {
  const { bavail, bsize, files, ffree } = await statfs(place);
  const free = bavail * bsize;
  const detail = `${(free / gibibyte).toFixed(1)} GiB free in ${config.stateDir}`;
  const remedy = `Free space there, or set StateDir in ${config.file} to a larger local file system.`;
  if (free < leastBytes) return missing('space', detail, remedy);
  if (files > 0 && ffree < 10_000) return missing('space', `${detail}, but only ${ffree} inodes`, remedy);
  return free < comfortableBytes ? warning('space', detail, remedy) : ok('space', detail);
}

/** Mounts an overlay with its upper directory there, in a mount namespace that ends with the command. */
async function upperDirectory({ config }: DoctorContext, place: string): Promise<Finding> {
  const type = fileSystems[(await statfs(place)).type] ?? 'a local file system';
  const remedy = `Set StateDir in ${config.file} to a local disk (ext4, or xfs with ftype=1), not overlayfs, NFS or FUSE.`;
  const scratch = await mkdtemp(join(place, '.rankshift-doctor-'));
  const part = (name: string) => join(scratch, name);
  try {
    for (const name of ['lower', 'upper', 'work', 'merged']) await mkdir(part(name));
    const options = `lowerdir=${part('lower')},upperdir=${part('upper')},workdir=${part('work')}`;
    const mount = ['mount', '-t', 'overlay', '-o', options, 'overlay', part('merged')];
    const { exitCode, stderr } = await run('unshare', ['--mount', ...mount], { timeoutMs: 10_000, allow: 'any' });
    if (exitCode !== 0)
      return missing('state directory', `on ${type}: no overlay: ${stderr.trim().split('\n')[0]}`, remedy);
    if (type === 'tmpfs') return warning('state directory', 'on tmpfs: images and containers take memory', remedy);
    return ok('state directory', `${config.stateDir} on ${type} takes overlays`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
