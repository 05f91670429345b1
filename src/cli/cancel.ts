import { Command } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';

/** `rankshift cancel ID` */
export function cancelCommand(): Command {
  return new Command('cancel')
    .description('call a migration off; possible until its commit, then the container runs on at its source')
    .argument('<id>', 'number of a migration, or an evacuation, return or set such as e3')
    .action(async (id: string) => {
      if (id.startsWith('e')) {
        const { before } = await new ApiClient(loadConfig()).post(`/v1/groups/${encodeURIComponent(id)}/cancel`, {});
        console.log(`${id}: ${before === true ? 'is being called off already' : 'cancel requested'}`);
        return;
      }
      const { before } = await new ApiClient(loadConfig()).post(`/v1/migrations/${encodeURIComponent(id)}/cancel`, {});
      console.log(`migration ${id}: ${before === true ? 'is being called off already' : 'cancel requested'}`);
    });
}
