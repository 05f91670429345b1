import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RankshiftError } from '../../errors.ts';
import { readImage } from './image-file.ts';

const statsSchema = z.object({
  dump: z.record(z.string(), z.number()).optional(),
  restore: z.record(z.string(), z.number()).optional(),
});

/**
 * CRIU's own figures out of stats-dump or stats-restore, whichever lies in the directory (both, if both do; they share no
 * name): times in microseconds (`freezingUs`, `frozenUs`, `memdumpUs`, `memwriteUs`, `forkingUs`, `restoreUs`), counts as
 * they are (`pagesScanned`, `pagesWritten`, `pagesLazy`, `pagesRestored`, ...).
 * @throws RankshiftError E_CRIU where there is neither, or one is malformed.
 */
export async function readStats(dir: string): Promise<Record<string, number>> {
  const files = ['stats-dump', 'stats-restore'].map((name) => join(dir, name)).filter((file) => existsSync(file));
  if (files.length === 0) throw new RankshiftError('E_CRIU', `${dir}: CRIU left no statistics`);
  const entries = await Promise.all(files.map((file) => readImage(file, 'stats', { entries: 1 })));
  const figures = entries.flat().flatMap((entry) => {
    const { dump = {}, restore = {} } = statsSchema.parse(entry);
    return Object.entries({ ...dump, ...restore });
  });
  return Object.fromEntries(figures.map(([name, value]) => [figureName(name), value]));
}

/** CRIU's `freezing_time` is `freezingUs` here: times get their unit, names their camel case. */
function figureName(name: string): string {
  const timed = name === 'irmap_resolve' ? 'irmap_resolve_us' : name.replace(/_time$/, '_us');
  return timed.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
