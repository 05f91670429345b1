import { realpathSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { checkoutDir } from './paths.ts';

/** What a person has to type here to call this install tree's rankshift: its name where PATH leads to it, else a path. */
export function ownCommand(cwd = process.cwd(), path = process.env['PATH'] ?? ''): string {
  const program = join(checkoutDir, 'bin', 'rankshift');
  if (path.split(delimiter).some((directory) => leadsTo(join(directory, 'rankshift'), program))) return 'rankshift';
  const below = relative(cwd, program);
  return below.startsWith('..') ? program : `./${below}`;
}

function leadsTo(candidate: string, program: string): boolean {
  try {
    return realpathSync(candidate) === realpathSync(program);
  } catch {
    return false;
  }
}
