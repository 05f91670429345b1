import { Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { type MigrationRecord, migrationRecordSchema, progressSchema } from '../migration/record.ts';
import { describeMigration } from './describe-migration.ts';
import { formatMs, formatTime, table } from './table.ts';

/** `rankshift show [ID]`: one migration in full, or the last ones. */
export function showCommand(): Command {
  return new Command('show')
    .description('show a migration with its timeline, or list the last ones')
    .argument('[id]', 'number of the migration')
    .option('-n, --last <n>', 'how many to list', parseCount, 20)
    .option('--no-header', 'without the heading')
    .option('--json', 'JSON, for programs')
    .action(async (id: string | undefined, { last, header, json }: { last: number; header: boolean; json?: true }) => {
      const api = new ApiClient(loadConfig());
      if (id === undefined) {
        const answer = await api.get(`/v1/migrations?limit=${last}`);
        const migrations = z.array(migrationRecordSchema).parse(answer.migrations);
        console.log(json ? JSON.stringify({ version: 1, migrations }) : list(migrations, !header));
        return;
      }
      const answer = await api.get(`/v1/migrations/${encodeURIComponent(id)}`);
      const migration = migrationRecordSchema.parse(answer.migration);
      const progress = progressSchema.nullable().default(null).parse(answer.progress);
      if (json) console.log(JSON.stringify({ version: 1, migration, ...(progress === null ? {} : { progress }) }));
      else console.log(describeMigration(migration, progress));
    });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 1000) return count;
  throw new InvalidArgumentError('allowed is 1 to 1000');
}

function list(migrations: MigrationRecord[], noHeader: boolean): string {
  const rows = migrations.map((record) => [
    record.id,
    record.container,
    record.requestedBy.name,
    record.state,
    record.source ?? '-',
    record.target ?? record.request.to ?? '-',
    formatMs(record.result?.downtimeMs),
    formatMs(record.totalMs),
    formatTime(record.createdAt),
  ]);
  return table(['ID', 'CONTAINER', 'BY', 'STATE', 'FROM', 'TO', 'DOWNTIME', 'TOTAL', 'START'], rows, { noHeader });
}
