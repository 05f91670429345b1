import { z } from 'zod';
import type { ApiClient } from '../api/client.ts';
import { migrationRecordSchema } from '../migration/record.ts';
import { exitOf, follow, leaveOnInterrupt, outcome } from './follow-migration.ts';

const answerSchema = z.object({ group: z.looseObject({ id: z.string() }), migrations: z.array(migrationRecordSchema) });

/** Several containers as one group; with `wait` until the last has ended. The exit code is that of the worst. */
export async function migrateSet(
  api: ApiClient,
  request: Record<string, unknown>,
  { wait, json }: { wait?: true; json?: true },
): Promise<void> {
  const { group, migrations } = answerSchema.parse(await api.post('/v1/sets', request));
  if (json !== true || wait === true) {
    const ids = migrations.map(({ id, container }) => `${container} (${id})`).join(', ');
    const text = `group ${group.id} queued: ${ids}`;
    if (wait === true) console.error(text);
    else console.log(text);
  } else console.log(JSON.stringify({ version: 1, group, migrations }));
  if (wait !== true) return;
  leaveOnInterrupt(
    `group ${group.id} goes on; follow it with: rankshift show ${group.id}; call it off with: rankshift cancel ${group.id}`,
  );
  const tell = (container: string) => (line: string) => console.error(`${container}  ${line}`);
  const ended = await Promise.all(
    migrations.map((one) => follow(api, one, json === true ? null : tell(one.container))),
  );
  if (json === true) console.log(JSON.stringify({ version: 1, group, migrations: ended }));
  else for (const record of ended) console.log(outcome(record));
  process.exitCode = Math.max(...ended.map(exitOf));
}
