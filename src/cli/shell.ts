import { Command, Option } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { type OnMove, onMoveSchema, type ShellStart } from '../migration/shell.ts';
import { attach } from './shell/attach.ts';

/** `rankshift shell JOB.CONTAINER [-- COMMAND]` */
export function shellCommand(): Command {
  return new Command('shell')
    .description('an interactive shell, or a command, inside a rank container')
    .usage('[options] <container> [-- COMMAND ARGS...]')
    .argument('<container>', 'JOB.CONTAINER, or JOB where it has one container')
    .argument('[command...]', 'instead of a shell')
    .addOption(
      new Option('--on-move <what>', 'what a move of the container does: close the shell, or wait for its end')
        .choices(onMoveSchema.options)
        .default('close'),
    )
    .addHelpText(
      'after',
      `
It runs as the job's user, wherever the container is now. All that was started in it ends with it, and with the
connection. Exit code: that of the shell or the command; 255 where the connection was lost or a move closed it.`,
    )
    .action(async (container: string, command: string[], { onMove }: { onMove: OnMove }) => {
      const api = new ApiClient(loadConfig());
      const { stdin, stdout } = process;
      const terminal =
        stdin.isTTY && stdout.isTTY
          ? { columns: stdout.columns || 80, rows: stdout.rows || 24, type: process.env['TERM'] || 'xterm' }
          : null;
      const start: ShellStart = { command: command.length === 0 ? null : command, terminal, onMove };
      const lines = await api.converse(`/v1/containers/${encodeURIComponent(container)}/shell`);
      process.exitCode = await attach(lines, start);
      // Standard input may still be open, and would be waited for.
      process.exit();
    });
}
