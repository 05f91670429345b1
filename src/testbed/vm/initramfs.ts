import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../process/run.ts';

/** Packs an initramfs with a node's own files below /seed, where those of the first directory win. */
export async function writeInitramfs(base: string, seeds: readonly string[], file: string): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'rankshift-initramfs-'));
  try {
    await run('cp', ['--archive', `${base}/.`, root]);
    for (const seed of seeds.toReversed()) await run('cp', ['--archive', `${seed}/.`, join(root, 'seed')]);
    const names = await run('find', ['.', '-mindepth', '1'], { cwd: root });
    // cpio(1) is no part of every machine; the initramfs has one itself.
    const pack = ['cpio', '-o', '-H', 'newc', '-F', file];
    await run(join(root, 'bin/busybox'), pack, { cwd: root, input: names.stdout });
  } finally {
    await run('rm', ['-rf', root]);
  }
}
