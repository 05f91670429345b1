import { Command, InvalidArgumentError } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { printout } from './top/frame.ts';
import { intervals, live } from './top/live.ts';
import { readMoves, readNodes } from './top/overview.ts';

/** `rankshift top` */
export function topCommand(): Command {
  return new Command('top')
    .description('live view of nodes and moves: phase, bytes, rate, time to go')
    .option('-d, --interval <seconds>', 'how often to look', parseInterval, 1000)
    .option('--once', 'print one picture and end; so it does where stdout or stdin is no terminal')
    .addHelpText(
      'after',
      '\nKeys: q leave, h help, space hold, s order of nodes, + - interval, arrows and pages scroll.',
    )
    .action(async ({ interval, once }: { interval: number; once?: true }) => {
      const api = new ApiClient(loadConfig());
      if (once || !process.stdout.isTTY || !process.stdin.isTTY) {
        const [nodes, moves] = await Promise.all([readNodes(api), readMoves(api)]);
        process.stdout.write(printout({ nodes, moves, at: Date.now() }));
        return;
      }
      process.exitCode = await live(api, interval);
    });
}

function parseInterval(text: string): number {
  const ms = Number(text) * 1000;
  if (ms >= intervals.leastMs && ms <= intervals.mostMs) return ms;
  throw new InvalidArgumentError(`allowed is ${intervals.leastMs / 1000} to ${intervals.mostMs / 1000}`);
}
