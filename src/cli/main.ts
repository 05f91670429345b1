#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { exitCode } from '../errors.ts';
import { reportError } from './errors.ts';

/** Each command in a file of its own, loaded only when it is called: start-up time is what a person waits for. */
const commands: Record<string, () => Promise<Command>> = {
  run: async () => (await import('./run.ts')).runCommand(),
  migrate: async () => (await import('./migrate.ts')).migrateCommand(),
  evacuate: async () => (await import('./evacuate.ts')).evacuateCommand(),
  return: async () => (await import('./evacuate.ts')).returnCommand(),
  slurm: async () => (await import('./slurm.ts')).slurmCommand(),
  plan: async () => (await import('./plan.ts')).planCommand(),
  ps: async () => (await import('./ps.ts')).psCommand(),
  show: async () => (await import('./show.ts')).showCommand(),
  history: async () => (await import('./history.ts')).historyCommand(),
  balance: async () => (await import('./balance.ts')).balanceCommand(),
  decisions: async () => (await import('./decisions.ts')).decisionsCommand(),
  shell: async () => (await import('./shell.ts')).shellCommand(),
  nodes: async () => (await import('./nodes.ts')).nodesCommand(),
  report: async () => (await import('./report.ts')).reportCommand(),
  top: async () => (await import('./top.ts')).topCommand(),
  cancel: async () => (await import('./cancel.ts')).cancelCommand(),
  resolve: async () => (await import('./resolve.ts')).resolveCommand(),
  policy: async () => (await import('./policy.ts')).policyCommand(),
  image: async () => (await import('./image.ts')).imageCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  'init-cluster': async () => (await import('./init-cluster.ts')).initClusterCommand(),
  testbed: async () => (await import('./testbed.ts')).testbedCommand(),
  controller: async () => (await import('./daemons.ts')).controllerCommand(),
  agent: async () => (await import('./daemons.ts')).agentCommand(),
};

async function main(argv: string[]): Promise<number> {
  const name = argv[2];
  const program = new Command('rankshift')
    .description('live migration of MPI rank containers between the nodes of a Slurm cluster')
    .version('0.1.0')
    .addHelpText(
      'after',
      `
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused, 4 rolled back (the container runs where it ran),
5 needs an operator, 6 not permitted, 7 service not reachable. Errors say what to do.`,
    )
    .showHelpAfterError('(see: rankshift --help)')
    .exitOverride();
  const wanted = name !== undefined && Object.hasOwn(commands, name) ? [name] : Object.keys(commands);
  for (const one of wanted) {
    const command = await commands[one]?.();
    if (command !== undefined) program.addCommand(inherit(command));
  }
  await program.parseAsync(argv);
  return Number(process.exitCode ?? exitCode.done);
}

/** Usage errors of every command end in our exit code, not in commander's. */
function inherit(command: Command, parent = 'rankshift'): Command {
  const path = `${parent} ${command.name()}`;
  command.exitOverride().showHelpAfterError(`(see: ${path} --help)`);
  for (const child of command.commands) inherit(child, path);
  return command;
}

/** What follows -- belongs to the program that is to run. */
function wantsJson(argv: string[]): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

try {
  process.exitCode = await main(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? exitCode.done : exitCode.usage;
  else process.exitCode = reportError(error, wantsJson(process.argv));
}
