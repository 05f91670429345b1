import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../process/run.ts';
import { cachedDirectory, recipeHash } from '../images/cached-directory.ts';
import { cacheDir, checkoutDir } from '../paths.ts';
import { makeDisk } from './disk.ts';

/** What a node of a cluster needs of the install tree. */
const parts = ['bin', 'dist', 'build', 'slurm', 'package.json'];
/** Modules that only developers use, by far the largest but for Node itself. */
const forDevelopers = ['typescript', '@typescript', '@biomejs', '@types', 'ava', 'fast-check'];

/** The install tree without its modules, as it is now. */
export async function makeInstallDisk(file: string): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'rankshift-install-'));
  try {
    const present = parts.map((part) => join(checkoutDir, part)).filter((path) => existsSync(path));
    await run('cp', ['--archive', ...present, scratch], { timeoutMs: 60_000 });
    mkdirSync(join(scratch, 'node_modules'));
    await makeDisk(scratch, file);
  } finally {
    await run('rm', ['-rf', scratch]);
  }
}

/** The modules, in the cache by what the lock file says. */
export async function ensureModulesDisk(): Promise<string> {
  const lock = readFileSync(join(checkoutDir, 'package-lock.json'), 'utf8');
  const hash = recipeHash({ kind: 'modules', lock, forDevelopers });
  const dir = join(cacheDir(), 'module-disks', hash.slice(0, 16));
  await cachedDirectory(dir, async (content) => {
    const scratch = join(content, '..', 'modules');
    mkdirSync(scratch);
    const modules = join(checkoutDir, 'node_modules');
    const names = readdirSync(modules).filter((name) => !forDevelopers.includes(name));
    await run('cp', ['--archive', ...names.map((name) => join(modules, name)), scratch], { timeoutMs: 300_000 });
    await makeDisk(scratch, join(content, 'disk.img'));
  });
  return join(dir, 'disk.img');
}
