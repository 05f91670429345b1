import { Command } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';

/** `rankshift cancel ID` */
export function cancelCommand(): Command {
  return new Command('cancel')
    .description('call a migration off; possible until its commit, then the container runs on at its source')
    .argument('<id>', 'number of the migration')
    .action(async (id: string) => {
      const { before } = await new ApiClient(loadConfig()).post(`/v1/migrations/${encodeURIComponent(id)}/cancel`, {});
      console.log(`migration ${id}: ${before === true ? 'is being called off already' : 'cancel requested'}`);
    });
}
