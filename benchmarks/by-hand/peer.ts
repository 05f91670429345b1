import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/process/run.ts';
import { checkoutDir } from '../../src/testbed/paths.ts';

/** Where by-hand/ lies in every node: the testbed mounts the checkout there. */
export const scriptsInNode = '/opt/rankshift/benchmarks/by-hand';

/** Compiles hog.c, static, where the nodes find it. */
export async function buildHog(): Promise<void> {
  const directory = join(checkoutDir, 'build', 'benchmarks');
  mkdirSync(directory, { recursive: true });
  const source = join(import.meta.dirname, 'hog.c');
  const flags = ['-static', '-O2', '-Wall', '-Wextra', '-Werror'];
  await run('musl-gcc', [...flags, '-o', join(directory, 'hog'), source]);
}
