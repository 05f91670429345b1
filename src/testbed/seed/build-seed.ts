import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultConfigText } from '../../config.ts';
import { checkoutDir, scriptDir, testbedPaths } from '../paths.ts';
import type { TestbedState } from '../state.ts';
import { installClusterKeys } from './cluster-keys.ts';
import { redisConf } from './redis-conf.ts';
import { cgroupConf, slurmConf } from './slurm-conf.ts';
import { makeHome, sshSeed } from './ssh.ts';
import { identityIn, type SeedFile, writeSeed } from './write-seed.ts';

/** Users of a testbed; the node image has them under the same uid. */
export const users = ['alice', 'bob'];

/** Deadlines of a testbed whose compute nodes are emulated. */
const emulationFactor = 10;

/** The command in every node's PATH; without a build it runs the sources. */
const rankshiftCommand = (patience: number) => `#!/bin/sh
${patience === 1 ? '' : `export RANKSHIFT_PATIENCE=${patience}\n`}main=/opt/rankshift/dist/cli/main.js
[ -e "$main" ] || main=/opt/rankshift/src/cli/main.ts
# A small young generation: bulk streams would only fill a large one with dead buffers. A collector without threads of its
# own: beside ranks that spin on every core the agent would wait for them, in the middle of a freeze.
exec /opt/rankshift/node_modules/.bin/node --max-semi-space-size=4 --single-threaded-gc "$main" "$@"
`;

/**
 * Writes everything in which nodes of this testbed differ from the image: configuration, keys, hooks, homes. The seeds
 * are lower directories of the nodes' roots, so nothing is copied when a node starts.
 * @returns seed directories of a node, uppermost first.
 */
export async function buildSeed(
  state: TestbedState,
  image: string,
  config: Record<string, string> = {},
): Promise<(node: string) => string[]> {
  const paths = testbedPaths(state.name);
  const common = join(paths.seedDir, 'common');
  // A virtual machine has no v1 controllers, and slurm.conf is the same everywhere.
  const machines = state.nodes.some(({ kind }) => kind === 'machine');
  const onCgroupV1 = !machines && state.cgroups.some(({ controller }) => controller === 'freezer');
  const homes = users.map((user) => ({ dir: join(paths.homeDir, user), owner: identityIn(image, user) }));
  for (const { dir, owner } of homes) makeHome(image, dir, owner);
  const [keys, ssh] = await Promise.all([
    installClusterKeys(state, join(paths.dir, 'keys')),
    sshSeed(state, join(paths.dir, 'ssh'), homes),
  ]);
  const hosts = state.nodes.map(({ name, address }) => `${address} ${name}`);
  const prolog = hooks('prolog.d');
  const epilog = hooks('epilog.d');
  const has = (files: object) => Object.keys(files).length > 0;
  writeSeed(common, image, {
    ...ssh,
    ...prolog,
    ...epilog,
    'etc/hosts': { content: `127.0.0.1 localhost\n${hosts.join('\n')}\n` },
    'etc/munge/munge.key': { content: randomBytes(1024), mode: 0o400, owner: identityIn(image, 'munge') },
    'etc/slurm/slurm.conf': {
      content: slurmConf(state, { prolog: has(prolog), epilog: has(epilog) }, onCgroupV1),
    },
    'etc/slurm/cgroup.conf': { content: cgroupConf(onCgroupV1, state.profile) },
    'usr/local/bin/rankshift': { content: rankshiftCommand(machines ? emulationFactor : 1), mode: 0o755 },
    'usr/local/sbin/supervise': script('supervise'),
    'usr/local/sbin/boot-node': script('boot-node'),
    'usr/local/sbin/reboot-node': script('reboot-node'),
    'usr/local/sbin/vm-node': script('vm-node'),
    'etc/rankshift/rankshift.conf': {
      content: defaultConfigText({
        ClusterName: state.name,
        ControllerHost: 'ctl',
        RedisHost: 'ctl',
        DefaultImage: 'mpi',
        TestBreakpoints: 'yes',
        ...config,
      }),
    },
  });
  for (const { name, role } of state.nodes) {
    const own: Record<string, SeedFile> = { ...keys.byNode.get(name), 'etc/hostname': { content: `${name}\n` } };
    if (role === 'management') {
      const owner = identityIn(image, 'redis');
      own['etc/redis/testbed.conf'] = { content: redisConf(keys.redisPassword), mode: 0o600, owner };
    }
    writeSeed(join(paths.seedDir, name), image, own);
  }
  return (node) => [join(paths.seedDir, node), common];
}

function script(name: string): SeedFile {
  return { content: readFileSync(join(scriptDir, name)), mode: 0o755 };
}

/** Copies of the hooks that an admin installs, where this install tree has them. */
function hooks(kind: 'prolog.d' | 'epilog.d'): Record<string, SeedFile> {
  const dir = join(checkoutDir, 'slurm', kind);
  if (!existsSync(dir)) return {};
  const names = readdirSync(dir).filter((name) => /^\d+-[\w.-]+$/.test(name));
  const files = names.map((name) => [
    `etc/slurm/${kind}/${name}`,
    { content: readFileSync(join(dir, name)), mode: 0o755 },
  ]);
  return Object.fromEntries(files);
}
