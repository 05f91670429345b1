import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { groupIdSchema, migrationRecordSchema } from '../migration/record.ts';
import { reportHtml } from '../telemetry/report-html.ts';
import { describeMigration } from './describe-migration.ts';
import { formatTime } from './table.ts';

/** `rankshift report ID`: what a move or a group did, to keep or to hand on. */
export function reportCommand(): Command {
  return new Command('report')
    .description('what a migration, or the moves of a group, did: phases, bytes, stalls, predicted beside measured')
    .argument('<id>', 'number of a migration, or a group such as e7')
    .option('--html', 'one file for a browser, on standard output, which needs nothing else')
    .action(async (id: string, { html }: { html?: true }) => {
      const api = new ApiClient(loadConfig());
      const { title, about, records } = groupIdSchema.safeParse(id).success
        ? await groupReport(api, id)
        : await migrationReport(api, id);
      if (html === true) process.stdout.write(reportHtml(title, about, records));
      else console.log([title, ...about, '', ...records.map((record) => describeMigration(record))].join('\n'));
    });
}

async function migrationReport(api: ApiClient, id: string) {
  const answer = await api.get(`/v1/migrations/${encodeURIComponent(id)}`);
  const record = migrationRecordSchema.parse(answer.migration);
  const { container, source, target, state, requestedBy, createdAt } = record;
  const title = `Migration ${record.id}: ${container}, ${source ?? '?'} to ${target ?? '?'}`;
  return { title, about: [`${state}; asked for by ${requestedBy.name}, ${formatTime(createdAt)}`], records: [record] };
}

/** Of a group only what a report needs. */
const groupSchema = z.object({
  id: z.string(),
  kind: z.string(),
  state: z.string(),
  requestedBy: z.object({ name: z.string() }),
  createdAt: z.number(),
});

async function groupReport(api: ApiClient, id: string) {
  const answer = await api.get(`/v1/groups/${encodeURIComponent(id)}`);
  const { kind, state, requestedBy, createdAt } = groupSchema.parse(answer.group);
  const records = z.array(migrationRecordSchema).parse(answer.migrations);
  const about = [`${state}; ${records.length} moves, asked for by ${requestedBy.name}, ${formatTime(createdAt)}`];
  return { title: `Group ${id} (${kind})`, about, records };
}
