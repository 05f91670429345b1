import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { run } from '../../process/run.ts';
import { withLock } from '../lock.ts';

/** Longest wait for another process that builds the same directory, and longest build. */
export const buildDeadlineMs = 30 * 60_000;

/** SHA-256 of a recipe: any value that says all that the result depends on. */
export function recipeHash(recipe: unknown): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
}

/**
 * Returns `dir`, building it first where it is absent. The build works in a temporary directory beside it and is renamed
 * when complete, so `dir` is whole or absent; a lock lets two processes ask for it at once.
 */
export async function cachedDirectory(dir: string, build: (temporary: string) => Promise<void>): Promise<string> {
  if (existsSync(dir)) return dir;
  const parent = dirname(dir);
  mkdirSync(parent, { recursive: true });
  return await withLock(join(parent, `.${basename(dir)}.lock`), buildDeadlineMs, async () => {
    if (existsSync(dir)) return dir;
    const prefix = `.building-${basename(dir)}-`;
    for (const left of readdirSync(parent).filter((name) => name.startsWith(prefix)))
      await removeTree(join(parent, left));
    const temporary = mkdtempSync(join(parent, prefix));
    try {
      const content = join(temporary, 'content');
      mkdirSync(content, { mode: 0o755 });
      await build(content);
      renameSync(content, dir);
    } finally {
      await removeTree(temporary);
    }
    return dir;
  });
}

async function removeTree(dir: string): Promise<void> {
  await run('rm', ['-rf', '--one-file-system', dir], { timeoutMs: 300_000 });
}
