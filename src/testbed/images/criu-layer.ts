import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { cacheDir, checkoutDir } from '../paths.ts';
import { cachedDirectory, recipeHash } from './cached-directory.ts';
import { downloadPackages } from './download-packages.ts';
import { newerCriuPackages, newerSuite } from './recipes.ts';

/** Debian's CRIU without the distribution's other packages of that age: its libraries are found by this file alone. */
const wrapper = `#!/bin/sh
# CRIU of a newer release of the distribution, with its own libraries; see src/testbed/images/criu-layer.ts.
LD_PRELOAD=/opt/criu/rlimits.so\${LD_PRELOAD:+:$LD_PRELOAD} LD_LIBRARY_PATH=/opt/criu/lib exec /opt/criu/criu "$@"
`;

const rlimitsSource = join(checkoutDir, 'src', 'testbed', 'images', 'criu-rlimits.c');

/**
 * A directory to be laid over the node image: the newer suite's CRIU below /opt/criu, and wrappers in its place in PATH.
 * Its packages are unpacked, not installed: installing them would pull in newer libraries for everything else.
 */
export async function ensureCriuLayer(nodeImage: string, progress: (line: string) => void): Promise<string> {
  const rlimits = readFileSync(rlimitsSource, 'utf8');
  const hash = recipeHash({ kind: 'criu', newerSuite, newerCriuPackages, wrapper, rlimits });
  return await cachedDirectory(join(cacheDir(), 'criu-layers', hash.slice(0, 16)), async (layer) => {
    progress(`fetching a newer CRIU from ${newerSuite}`);
    const scratch = join(dirname(layer), 'apt');
    const unpacked = join(dirname(layer), 'unpacked');
    const packages = await downloadPackages(nodeImage, newerSuite, scratch, newerCriuPackages);
    for (const file of packages) await run('dpkg-deb', ['--extract', file, unpacked]);

    const target = join(layer, 'opt', 'criu');
    mkdirSync(target, { recursive: true });
    const program = ['usr/sbin/criu', 'usr/bin/criu']
      .map((path) => join(unpacked, path))
      .find((path) => existsSync(path));
    const triplet = readdirSync(join(unpacked, 'usr/lib')).find((name) => name.endsWith('-linux-gnu'));
    if (program === undefined || triplet === undefined) {
      throw new RankshiftError('E_COMMAND', `the packages ${newerCriuPackages.join(', ')} do not hold what they did`);
    }
    await run('cp', ['--archive', program, join(target, 'criu')]);
    await run('cp', ['--archive', join(unpacked, 'usr/lib', triplet), join(target, 'lib')]);
    await run('gcc', [
      '-shared',
      '-fPIC',
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-D_GNU_SOURCE',
      '-o',
      join(target, 'rlimits.so'),
      rlimitsSource,
    ]);
    for (const path of ['usr/sbin/criu', 'usr/local/sbin/criu']) {
      mkdirSync(dirname(join(layer, path)), { recursive: true });
      writeFileSync(join(layer, path), wrapper);
      chmodSync(join(layer, path), 0o755);
    }
  });
}
