import { Command } from 'commander';
import { addNodes, type Bundle, initCluster, renewNodes } from '../channel/init-cluster.ts';
import { RankshiftError } from '../errors.ts';
import { expandHostlist } from '../slurm/hostlist.ts';
import { reportError } from './errors.ts';

const defaultDir = '/etc/rankshift/authority';

interface Options {
  dir?: string;
  nodes?: string;
  controller?: string;
  address?: string[];
  force?: boolean;
}

/** `rankshift init-cluster`: keys and certificates of a cluster, made once on a machine that the admin trusts. */
export function initClusterCommand(): Command {
  const command = new Command('init-cluster')
    .description('make the keys and certificates of a cluster, and say what to copy where')
    .enablePositionalOptions()
    .option('--dir <dir>', 'where they are made and kept; for root only', defaultDir)
    .option('--nodes <hostlist>', 'compute nodes, for example n[1-16]')
    .option('--controller <name>', 'host on which the controller and Redis run')
    .option('--address <name=ip...>', 'IP addresses of hosts, where their names do not resolve everywhere')
    .option('--force', 'replace what exists: all hosts need the new keys then')
    .action(async ({ dir = defaultDir, nodes, controller, address, force = false }: Options) => {
      if (nodes === undefined || controller === undefined) {
        throw new RankshiftError('E_USAGE', 'init-cluster needs --nodes HOSTLIST and --controller NAME');
      }
      const options = { nodes: expandHostlist(nodes), controller, addresses: parseAddresses(address), force };
      tell(dir, await initCluster(dir, options));
    });
  command
    .command('add-node')
    .description('make the keys of further compute nodes')
    .argument('<hostlist>', 'compute nodes')
    .option('--dir <dir>', `directory of the cluster's keys (default: "${defaultDir}")`)
    .option('--address <name=ip...>', 'IP addresses of these nodes')
    .option('--force', 'replace their keys')
    .action(async (nodes: string, { dir, address, force = false }: Options) => {
      const at = dir ?? dirOf(command);
      tell(at, await addNodes(at, { nodes: expandHostlist(nodes), addresses: parseAddresses(address), force }));
    });
  command
    .command('renew')
    .description('issue certificates anew, with new keys')
    .argument('<hostlist>', 'compute nodes, or controller')
    .option('--dir <dir>', `directory of the cluster's keys (default: "${defaultDir}")`)
    .action(async (nodes: string, { dir }: Options) => {
      const at = dir ?? dirOf(command);
      tell(at, await renewNodes(at, expandHostlist(nodes)), 'keys/');
    });
  return command;
}

function dirOf(command: Command): string {
  return command.opts<Options>().dir ?? defaultDir;
}

function parseAddresses(given: readonly string[] = []): Map<string, string[]> {
  const addresses = new Map<string, string[]>();
  for (const text of given) {
    const [, name = '', address = ''] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (address === '') throw new RankshiftError('E_USAGE', `--address ${text}: write it as NAME=IP`);
    addresses.set(name, [...(addresses.get(name) ?? []), address]);
  }
  return addresses;
}

/** @param part what to copy of each bundle: a renewal must not replace a configuration that the admin has edited */
function tell(dir: string, bundles: readonly Bundle[], part: '' | 'keys/' = ''): void {
  console.log(`Keys are in ${dir}. Keep ca.key there and nowhere else; a backup of it belongs offline.\n`);
  console.log('As root, copy to each host what it needs, and nothing more:');
  for (const bundle of bundles) {
    const host = bundle.host === 'login' ? 'LOGIN-NODE' : bundle.host;
    const to = `/etc/rankshift/${part}`;
    console.log(`  ssh ${host} mkdir -p ${to} && scp -rp ${bundle.dir}/${part}. ${host}:${to}`);
  }
  if (part === '') console.log('\nWhat you change in rankshift.conf must be the same on all hosts.');
  console.log('\nThen restart rankshift-controller or rankshift-agent there, and check with: rankshift doctor');
}

if (import.meta.main) {
  initClusterCommand()
    .parseAsync()
    .catch((error: unknown) => {
      process.exitCode = reportError(error, false);
    });
}
