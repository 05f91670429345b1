import { Command } from 'commander';

/** `rankshift controller`, started by systemd on the management node. */
export function controllerCommand(): Command {
  return new Command('controller')
    .description('the service on the management node (systemd starts it)')
    .action(async () => {
      const { runController } = await import('../controller/main.ts');
      await runController();
    });
}

/** `rankshift agent`, started by systemd on each compute node. */
export function agentCommand(): Command {
  return new Command('agent').description('the service on each compute node (systemd starts it)').action(async () => {
    const { runAgent } = await import('../agent/main.ts');
    await runAgent();
  });
}
