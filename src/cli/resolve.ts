import { Command } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { migrationRecordSchema } from '../migration/record.ts';
import { exitOf, follow, outcome } from './follow-migration.ts';

/** `rankshift resolve ID` */
export function resolveCommand(): Command {
  return new Command('resolve')
    .description(
      'go on with a migration that needs an operator: once the agents of both nodes run again, they settle it',
    )
    .argument('<id>', 'number of the migration')
    .action(async (id: string) => {
      const api = new ApiClient(loadConfig());
      const answer = await api.post(`/v1/migrations/${encodeURIComponent(id)}/resolve`, {});
      const last = await follow(api, migrationRecordSchema.parse(answer.migration), (line) => console.error(line));
      console.log(outcome(last));
      process.exitCode = exitOf(last);
    });
}
