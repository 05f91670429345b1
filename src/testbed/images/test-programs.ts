import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run } from '../../process/run.ts';
import { checkoutDir, scriptDir } from '../paths.ts';
import { cachedDirectory, recipeHash } from './cached-directory.ts';
import { ensureCompilerRoot, layerDir, type MpiImage } from './mpi-image.ts';

/** Where the test programs lie in each container image. */
export const testProgramDir = '/opt/rankshift-tests/bin';

/**
 * The layer with the MPI test programs, compiled for an image: every directory of mpi-tests/ that has a Makefile. Its identity is the
 * hash of their sources, so an edit costs one compilation and nothing else.
 * @returns the layer's directory, or undefined where there are no such programs.
 * @throws RankshiftError E_COMMAND with the compiler's last lines.
 */
export async function ensureTestPrograms(
  image: MpiImage,
  progress: (line: string) => void,
): Promise<string | undefined> {
  const sources = join(checkoutDir, 'mpi-tests');
  const names = existsSync(sources)
    ? readdirSync(sources).filter((name) => existsSync(join(sources, name, 'Makefile')))
    : [];
  if (names.length === 0) return undefined;
  const compiler = await ensureCompilerRoot(image, progress);
  const hex = recipeHash({
    kind: 'test-programs',
    compiler: basename(compiler),
    script: readFileSync(join(scriptDir, 'compile-tests'), 'utf8'),
    sources: names.sort().map((name) => [name, treeHash(join(sources, name))]),
  });
  return await cachedDirectory(layerDir(hex), async (layer) => {
    progress(`compiling the test programs of the image ${image}: ${names.join(', ')}`);
    const script = join(scriptDir, 'compile-tests');
    const argv = [
      '--mount',
      '--propagation',
      'private',
      script,
      compiler,
      sources,
      join(layer, testProgramDir),
      ...names,
    ];
    await run('unshare', argv, { timeoutMs: 600_000 });
  });
}

/** SHA-256 over names and contents of all files below. */
function treeHash(dir: string): string {
  const hash = createHash('sha256');
  const entries = readdirSync(dir, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  for (const file of entries.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash
      .update(`${file.slice(dir.length)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}
