import { Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { groupRecordSchema } from '../migration/group.ts';
import { type MigrationRecord, migrationRecordSchema, progressSchema } from '../migration/record.ts';
import { describeGroup, groupTable, readGroupAnswer } from './describe-group.ts';
import { describeMigration } from './describe-migration.ts';
import { formatMs, formatTime, table } from './table.ts';

/** `rankshift show [ID]`: one migration in full, or the last ones. */
export function showCommand(): Command {
  return new Command('show')
    .description('show a migration with its timeline, or list the last ones')
    .argument('[id]', 'number of the migration')
    .option('-n, --last <n>', 'how many to list', parseCount, 20)
    .option('--groups', 'list evacuations and returns')
    .option('--no-header', 'without the heading')
    .option('--json', 'JSON, for programs')
    .action(async (id: string | undefined, { last, groups, header, json }: ShowOptions) => {
      const api = new ApiClient(loadConfig());
      if (groups === true || id?.startsWith('e') === true) {
        console.log(await showGroups(api, id, { last, noHeader: !header, json: json === true }));
        return;
      }
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

interface ShowOptions {
  last: number;
  groups?: true;
  header: boolean;
  json?: true;
}

async function showGroups(
  api: ApiClient,
  id: string | undefined,
  { last, noHeader, json }: { last: number; noHeader: boolean; json: boolean },
): Promise<string> {
  if (id === undefined) {
    const groups = z.array(groupRecordSchema).parse((await api.get(`/v1/groups?limit=${last}`)).groups);
    return json ? JSON.stringify({ version: 1, groups }) : groupTable(groups, noHeader);
  }
  const answer = readGroupAnswer(await api.get(`/v1/groups/${encodeURIComponent(id)}`));
  return json ? JSON.stringify({ version: 1, ...answer }) : describeGroup(answer.group, answer.migrations);
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
