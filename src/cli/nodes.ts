import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { formatBytes, table } from './table.ts';

const nodeSchema = z.object({
  name: z.string(),
  agentAlive: z.boolean(),
  slurmStates: z.array(z.string()),
  containers: z.number(),
  memoryAvailableBytes: z.number(),
  criuOk: z.boolean(),
  pagesOk: z.boolean(),
  softDirtyOk: z.boolean().default(false),
  kernel: z.string(),
});

/** `rankshift nodes` */
export function nodesCommand(): Command {
  return new Command('nodes')
    .description('list nodes: agent, Slurm state, rank containers')
    .option('--no-header', 'without the heading')
    .option('--json', 'JSON, for programs')
    .action(async ({ header, json }: { header: boolean; json?: true }) => {
      const answer = await new ApiClient(loadConfig()).get('/v1/nodes');
      const nodes = z.array(nodeSchema).parse(answer.nodes);
      if (json) {
        console.log(JSON.stringify({ version: 1, nodes }));
        return;
      }
      const rows = nodes.map((node) => [
        node.name,
        node.agentAlive ? 'up' : 'down',
        node.slurmStates.join('+') || '-',
        String(node.containers),
        node.agentAlive ? formatBytes(node.memoryAvailableBytes) : '-',
        node.agentAlive ? (node.criuOk ? 'ok' : 'failed') : '-',
        node.agentAlive ? (node.pagesOk ? 'yes' : node.softDirtyOk ? 'criu' : 'no') : '-',
        node.kernel,
      ]);
      console.log(
        table(['NODE', 'AGENT', 'SLURM', 'CONTAINERS', 'MEMORY', 'CRIU', 'PRECOPY', 'KERNEL'], rows, {
          noHeader: !header,
        }),
      );
    });
}
