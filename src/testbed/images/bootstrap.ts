import { run } from '../../process/run.ts';
import { buildDeadlineMs } from './cached-directory.ts';
import { suite } from './recipes.ts';

export interface BootstrapRecipe {
  packages: readonly string[];
  pathExcludes: readonly string[];
  /** Program that mmdebstrap runs at the end with the new root as its argument. */
  customize: string;
}

/**
 * Makes a minimal root file system of the suite with mmdebstrap(1) from the mirror of the machine's own configuration.
 * @throws RankshiftError E_MISSING without mmdebstrap, E_COMMAND with its last lines.
 */
export async function bootstrap(root: string, recipe: BootstrapRecipe): Promise<void> {
  const excludes = recipe.pathExcludes.map((path) => `--dpkgopt=path-exclude=${path}`);
  await run(
    'mmdebstrap',
    [
      '--variant=minbase',
      `--include=${recipe.packages.join(',')}`,
      ...excludes,
      `--customize-hook=${recipe.customize}`,
      suite,
      root,
    ],
    { timeoutMs: buildDeadlineMs, env: { DEBIAN_FRONTEND: 'noninteractive', TMPDIR: '/tmp' } },
  );
}
