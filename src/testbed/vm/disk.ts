import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run } from '../../process/run.ts';
import { cachedDirectory } from '../images/cached-directory.ts';
import { cacheDir } from '../paths.ts';

/** Room beside the files themselves, for inodes and tables. */
const spareMib = 64;

/** Writes a directory as an ext4 file system into a (sparse) file, with owners, modes, devices and attributes as they are. */
export async function makeDisk(dir: string, file: string): Promise<void> {
  const { stdout } = await run('du', ['--summarize', '--block-size=1M', dir], { timeoutMs: 120_000 });
  const mib = Math.ceil(Number(stdout.split('\t')[0]) * 1.1) + spareMib;
  const options = ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-N', String(await inodes(dir))];
  rmSync(file, { force: true });
  await run('mke2fs', [...options, '-d', dir, file, `${mib}M`], { timeoutMs: 300_000 });
}

async function inodes(dir: string): Promise<number> {
  const { stdout } = await run('du', ['--summarize', '--inodes', dir], { timeoutMs: 120_000 });
  return Number(stdout.split('\t')[0]) + 1000;
}

/** The disk of a layer in the cache. */
export async function ensureLayerDisk(layer: string): Promise<string> {
  const dir = join(cacheDir(), 'layer-disks', basename(layer).slice(0, 32));
  await cachedDirectory(dir, (content) => makeDisk(layer, join(content, 'disk.img')));
  return join(dir, 'disk.img');
}
