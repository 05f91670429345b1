import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';

/** The install tree: the directory that holds src/ and dist/. */
export const checkoutDir = join(import.meta.dirname, '..', '..');

/** Scripts that run on the host or in a node; they stay in src/ also when the program runs from dist/. */
export const scriptDir = join(checkoutDir, 'src', 'testbed', 'scripts');

/** Where state of running testbeds lies; gone with `testbed down`. */
export const stateRoot = '/run/rankshift-testbed';

/** Cache of images and data of testbeds: RANKSHIFT_CACHE, or /var/cache/rankshift. */
export function cacheDir(): string {
  return process.env['RANKSHIFT_CACHE'] ?? '/var/cache/rankshift';
}

/** A lock file of that name: one for the machine, whatever cache a command uses. */
export function lockFile(name: string): string {
  return join('/run/lock/rankshift-testbed', `${name}.lock`);
}

/** Files of one testbed. All names follow from the testbed's name, so that `down` needs no other knowledge. */
export interface TestbedPaths {
  /** State, node mount points, seeds. */
  dir: string;
  stateFile: string;
  lockFile: string;
  /** Files laid over the node image: `common` for all nodes, one directory per node. */
  seedDir: string;
  /** Mount point and log of each node. */
  nodesDir: string;
  /** What lies on a real disk: homes, imported images, the data of Redis. */
  dataDir: string;
  homeDir: string;
  imagesDir: string;
  redisDir: string;
  /** Mount point of the network namespace that holds the bridge of the testbed. */
  fabric: string;
}

/**
 * Paths of the testbed of that name.
 * @throws RankshiftError E_BAD_INPUT where the name cannot be part of a path, a namespace and a cgroup.
 */
export function testbedPaths(name: string): TestbedPaths {
  if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(name)) {
    throw new RankshiftError(
      'E_BAD_INPUT',
      `not a testbed name: ${name} (lower-case letters, digits, '-'; at most 32)`,
    );
  }
  const dir = join(stateRoot, name);
  const dataDir = join(cacheDir(), 'testbeds', name);
  return {
    dir,
    stateFile: join(dir, 'state.json'),
    lockFile: lockFile(`testbed-${name}`),
    seedDir: join(dir, 'seed'),
    nodesDir: join(dir, 'nodes'),
    dataDir,
    homeDir: join(dataDir, 'home'),
    imagesDir: join(dataDir, 'images'),
    redisDir: join(dataDir, 'redis'),
    fabric: join(dir, 'fabric'),
  };
}
