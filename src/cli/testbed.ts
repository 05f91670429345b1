import { Command, InvalidArgumentError, Option } from 'commander';
import { RankshiftError } from '../errors.ts';
import { ensureImages } from '../testbed/images/ensure-images.ts';
import {
  allStatus,
  bringUp,
  cutLink,
  execOnTerminal,
  healLink,
  limitLink,
  listTestbeds,
  type Profile,
  profiles,
  serviceStatus,
  Testbed,
  type TestbedStatus,
  takeDown,
  testbedStatus,
} from '../testbed/index.ts';
import { ownCommand } from '../testbed/own-command.ts';
import { ensureMachines } from '../testbed/vm/start-machines.ts';

const nameOption = ['--name <name>', 'name of the testbed', 'default'] as const;

/** `rankshift testbed ...`: a virtual Slurm cluster on one machine. */
export function testbedCommand(): Command {
  const testbed = new Command('testbed').description('a virtual Slurm cluster on this machine, to try Rankshift');
  testbed
    .command('up')
    .description('start a management node, a login node and compute nodes')
    .option(...nameOption)
    .option('--nodes <n>', 'compute nodes (3; 2 with --vm)', count)
    .option('--cpus-per-node <n>', 'processors that Slurm sees in each (2; 1 with --vm)', count)
    .addOption(
      new Option('--profile <profile>', 'of Slurm; strict: memory handed out, cores constrained, Contain')
        .choices(profiles)
        .default('plain'),
    )
    .option('--vm', "compute nodes are virtual machines with the distribution's own kernel", false)
    .option(
      '--old-kernels <n>',
      'so many of these, the last, with the kernel of the release before (without our tracker)',
      count,
    )
    .option('--state-size <size>', "size of each node's /var/lib/rankshift (memory is taken as it fills)", '8g')
    .option('--private-images', 'an image store for each node; without it all see one', false)
    .addOption(new Option('--gromacs', 'an image gromacs besides: mpi with GROMACS').default(false).conflicts('vm'))
    .option('--no-services', 'leave out controller and agents')
    .action(up);
  testbed
    .command('down')
    .description('remove a testbed with everything that runs in it')
    .option(...nameOption)
    .option('--all', 'all testbeds of this machine', false)
    .action(async ({ name, all }: { name: string; all: boolean }) => {
      for (const one of all ? listTestbeds() : [name]) {
        console.log((await takeDown(one)) ? `testbed ${one} is gone` : `there is no testbed ${one}`);
      }
    });
  testbed
    .command('status')
    .description('nodes, services and what Slurm says of them')
    .option('--name <name>', 'one testbed only')
    .option('--json', 'for programs', false)
    .action(async ({ name, json }: { name?: string; json: boolean }) => {
      const found = name === undefined ? await allStatus() : [await testbedStatus(name)];
      if (json) console.log(JSON.stringify({ version: 1, testbeds: found }, null, 2));
      else console.log(found.length === 0 ? 'no testbed is up' : found.map(statusTable).join('\n\n'));
    });
  testbed
    .command('exec')
    .description('run a command in a node, on this terminal')
    .option(...nameOption)
    .option('--user <user>', 'run it as this user: root, alice or bob', 'root')
    .argument('<node>')
    .argument('[command...]', 'after --; a login shell where there is none')
    .action(async (node: string, command: string[], { name, user }: { name: string; user: string }) => {
      const argv = command.length > 0 ? command : ['/bin/bash', '--login'];
      process.exitCode = await execOnTerminal(Testbed.open(name).state, node, argv, { user });
    });
  testbed
    .command('logs')
    .description("the log of a node's service; without one, the names of its services")
    .option(...nameOption)
    .option('-f, --follow', 'wait for more', false)
    .argument('<node>')
    .argument('[service]')
    .action(logs);
  testbed
    .command('cut')
    .description('drop all traffic between two nodes')
    .option(...nameOption)
    .arguments('<a> <b>')
    .action(async (a: string, b: string, { name }: { name: string }) => cutLink(Testbed.open(name).state, a, b));
  testbed
    .command('heal')
    .description('undo cut')
    .option(...nameOption)
    .arguments('<a> <b>')
    .action(async (a: string, b: string, { name }: { name: string }) => healLink(Testbed.open(name).state, a, b));
  testbed
    .command('link')
    .description('limit the rate of the link of a node, or delay what it sends; without both, lift the limits')
    .option(...nameOption)
    .option('--rate <rate>', 'as of tc: 1gbit, 200mbit')
    .option('--delay <time>', 'as of tc: 25ms (virtual machines only)')
    .argument('<node>')
    .action(async (node: string, { name, rate, delay }: { name: string; rate?: string; delay?: string }) =>
      limitLink(Testbed.open(name).state, node, rate, delay),
    );
  testbed
    .command('images')
    .description('build what a testbed is made from, where the cache lacks it')
    .option('--vm', 'those of virtual machines besides', false)
    .option('--gromacs', 'that with GROMACS besides', false)
    .action(async ({ vm, gromacs }: { vm: boolean; gromacs: boolean }) => {
      const images = await ensureImages(console.log, { gromacs });
      if (vm) await ensureMachines(images, console.log);
    });
  return testbed;
}

interface UpOptions {
  name: string;
  nodes?: number;
  cpusPerNode?: number;
  profile: Profile;
  vm: boolean;
  oldKernels?: number;
  stateSize: string;
  privateImages: boolean;
  gromacs: boolean;
  services: boolean;
}

async function up({ services, ...options }: UpOptions): Promise<void> {
  const started = performance.now();
  const testbed = await bringUp({ ...options, ...(services ? {} : { services }), progress: console.log });
  const named = testbed.name === 'default' ? '' : ` --name ${testbed.name}`;
  console.log(`up after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  console.log(`log in as a user:   ${ownCommand()} testbed exec${named} --user alice login`);
  console.log("then, for example:  sbatch -N 2 --wrap 'rankshift run -- cg A --seconds 300'; rankshift ps");
  console.log(`look at it:         ${ownCommand()} testbed status${named}`);
  console.log(`remove it:          ${ownCommand()} testbed down${named}`);
}

async function logs(node: string, service: string | undefined, options: { name: string; follow: boolean }) {
  const testbed = Testbed.open(options.name);
  const services = (await serviceStatus(testbed.state, testbed.node(node))).map(({ name }) => name);
  if (service === undefined) {
    console.log(services.join('\n'));
    return;
  }
  if (!services.includes(service)) {
    throw new RankshiftError('E_BAD_INPUT', `${node} has no service ${service}`, {
      action: `Its services: ${services.join(', ')}`,
    });
  }
  const file = `/var/log/rankshift/${service}.log`;
  const argv = options.follow ? ['tail', '-n', '100', '-F', file] : ['cat', file];
  process.exitCode = await execOnTerminal(testbed.state, node, argv);
}

/** The table of `status`: one line for each node. */
function statusTable({ name, stage, nodes }: TestbedStatus): string {
  const rows = nodes.map((node) => {
    const services = node.services.map((one) => (one.state === 'running' ? one.name : `${one.name}(${one.state})`));
    return [node.name, node.role, node.address, node.running ? 'up' : 'down', node.slurm ?? '-', services.join(' ')];
  });
  const table = [['NODE', 'ROLE', 'ADDRESS', 'STATE', 'SLURM', 'SERVICES'], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  return [`testbed ${name}: ${stage}`, ...lines.map((line) => line.trimEnd())].join('\n');
}

function count(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('allowed is a whole number from 1');
  return Number(text);
}

if (import.meta.main) {
  try {
    await testbedCommand().parseAsync();
  } catch (error) {
    const { code, message, action, exitCode } = RankshiftError.from(error);
    console.error(`${code}: ${message}\n  ${action}`);
    process.exitCode = exitCode;
  }
}
