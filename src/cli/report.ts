import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { type GroupPrediction, predictGroup } from '../migration/predict-group.ts';
import { groupIdSchema, migrationRecordSchema } from '../migration/record.ts';
import { reportHtml } from '../telemetry/report-html.ts';
import { describeMigration } from './describe-migration.ts';
import { formatMs, formatTime } from './table.ts';

/** `rankshift report ID`: what a move or a group did, to keep or to hand on. */
export function reportCommand(): Command {
  return new Command('report')
    .description('what a migration, or the moves of a group, did: phases, bytes, stalls, predicted beside measured')
    .argument('<id>', 'number of a migration, or a group such as e7')
    .option('--html', 'one file for a browser, on standard output, which needs nothing else')
    .action(async (id: string, { html }: { html?: true }) => {
      const api = new ApiClient(loadConfig());
      const { title, about, records, prediction } = groupIdSchema.safeParse(id).success
        ? await groupReport(api, id)
        : await migrationReport(api, id);
      if (html === true) process.stdout.write(reportHtml(title, about, records, prediction));
      else console.log([title, ...about, '', ...records.map((record) => describeMigration(record))].join('\n'));
    });
}

async function migrationReport(api: ApiClient, id: string) {
  const answer = await api.get(`/v1/migrations/${encodeURIComponent(id)}`);
  const record = migrationRecordSchema.parse(answer.migration);
  const { container, source, target, state, requestedBy, createdAt } = record;
  const title = `Migration ${record.id}: ${container}, ${source ?? '?'} to ${target ?? '?'}`;
  return {
    title,
    about: [`${state}; asked for by ${requestedBy.name}, ${formatTime(createdAt)}`],
    records: [record],
    prediction: null,
  };
}

/** Of a group only what a report needs. */
const groupSchema = z.object({
  id: z.string(),
  kind: z.string(),
  state: z.string(),
  requestedBy: z.object({ name: z.string() }),
  createdAt: z.number(),
  askedAt: z.number().optional(),
  endedAt: z.number().nullable(),
});
/** Of the configuration that the moves went by; a controller of an earlier release does not say it. */
const limitsSchema = z.object({ out: z.number(), in: z.number(), link: z.number(), cluster: z.number() });

async function groupReport(api: ApiClient, id: string) {
  const answer = await api.get(`/v1/groups/${encodeURIComponent(id)}`);
  const { kind, state, requestedBy, createdAt, askedAt, endedAt } = groupSchema.parse(answer.group);
  const records = z.array(migrationRecordSchema).parse(answer.migrations);
  const limits = limitsSchema.optional().parse(answer.limits);
  const planned = records.map(({ container, plan, request }) => ({ id: container, plan, order: request.order }));
  const prediction = limits === undefined ? null : predictGroup(planned, limits);
  const about = [
    `${state}; ${records.length} moves, asked for by ${requestedBy.name}, ${formatTime(createdAt)}`,
    ...together(prediction, endedAt === null ? null : endedAt - (askedAt ?? createdAt)),
  ];
  return { title: `Group ${id} (${kind})`, about, records, prediction };
}

/** From the request to the end of the last: predicted beside measured. */
function together(prediction: GroupPrediction | null, measuredMs: number | null): string[] {
  const measured = measuredMs === null ? 'not ended yet' : `measured ${formatMs(measuredMs)}`;
  if (prediction === null) return [`all together: ${measured}, nothing was predicted`];
  const { makespanMs, unknown } = prediction;
  const without = unknown.length === 0 ? '' : ` (without ${unknown.join(', ')}, of which nothing was predicted)`;
  return [`all together: ${measured}, predicted by their plans ${formatMs(makespanMs)}${without}`];
}
