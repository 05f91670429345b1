import { Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { type ContainerRecord, containerRecordSchema } from '../migration/container.ts';
import { formatTime, table } from './table.ts';

/** `rankshift ps`: rank containers. */
export function psCommand(): Command {
  return new Command('ps')
    .description('list rank containers and where they run')
    .option('-j, --job <jobs>', 'of these jobs only, comma separated', parseJobs)
    .option('--no-header', 'without the heading')
    .option('--json', 'JSON, for programs')
    .action(async ({ job, header, json }: { job?: number[]; header: boolean; json?: true }) => {
      const answer = await new ApiClient(loadConfig()).get('/v1/containers');
      const all = z.array(containerRecordSchema).parse(answer.containers);
      const containers = job === undefined ? all : all.filter((container) => job.includes(container.job));
      if (json) console.log(JSON.stringify({ version: 1, containers }));
      else console.log(psTable(containers, !header));
    });
}

function parseJobs(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('allowed are job numbers: 42 or 42,43');
  return text.split(',').map(Number);
}

function psTable(containers: ContainerRecord[], noHeader: boolean): string {
  const rows = containers.map((container) => [
    container.id,
    container.user,
    container.migration === '' ? container.state : `moving (${container.migration})`,
    container.owner,
    container.image,
    String(container.moves),
    formatTime(container.startedAt),
  ]);
  return table(['CONTAINER', 'USER', 'STATE', 'NODE', 'IMAGE', 'MOVES', 'START'], rows, { noHeader });
}
