import { Command } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { exitCode, RankshiftError } from '../errors.ts';
import { isFinal } from '../migration/machine.ts';
import { type MigrationRecord, migrationRecordSchema } from '../migration/record.ts';
import { formatMs } from './table.ts';

const pollMs = 250;

/** `rankshift migrate JOB[.CONTAINER]` */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description('move a rank container of a running job to another node, while its peers run on')
    .argument('<container>', 'JOB.CONTAINER, or JOB where it has one container')
    .option('--to <node>', 'target node (default: chosen)')
    .option('--clock <policy>', 'continuous: MPI_Wtime runs on; frozen: it hides the downtime')
    .option('--wait', 'wait for the end; the exit code says how it ended', false)
    .option('--json', 'for programs', false)
    .action(async (container: string, options: { to?: string; clock?: string; wait: boolean; json: boolean }) => {
      const api = new ApiClient(loadConfig());
      const request = {
        container,
        ...(options.to === undefined ? {} : { to: options.to }),
        ...(options.clock === undefined ? {} : { clockPolicy: options.clock }),
      };
      const first = migrationRecordSchema.parse((await api.post('/v1/migrations', request)).migration);
      if (!options.wait) {
        console.log(
          options.json
            ? JSON.stringify({ version: 1, migration: first })
            : `migration ${first.id} of ${first.container} queued`,
        );
        return;
      }
      if (!options.json) console.error(`migration ${first.id} of ${first.container}`);
      const last = await follow(api, first, options.json ? () => undefined : (line) => console.error(line));
      if (options.json) console.log(JSON.stringify({ version: 1, migration: last }));
      else console.log(outcome(last));
      process.exitCode = exitOf(last);
    });
}

/** Asks until the migration is in a final state, telling each change. */
async function follow(api: ApiClient, first: MigrationRecord, tell: (line: string) => void): Promise<MigrationRecord> {
  let shown = '';
  for (;;) {
    let record: MigrationRecord;
    try {
      record = migrationRecordSchema.parse((await api.get(`/v1/migrations/${first.id}`)).migration);
    } catch (error) {
      // The controller may be restarting; the migration goes on without us.
      if (RankshiftError.from(error).code !== 'E_SERVICE') throw error;
      await new Promise((resolve) => setTimeout(resolve, 4 * pollMs));
      continue;
    }
    const { state, source, target, waitingFor } = record;
    const text = `${state}${target === null ? '' : `  ${source} -> ${target}`}${waitingFor === null ? '' : `  (waiting: ${waitingFor})`}`;
    if (text !== shown && !isFinal(state)) tell(text);
    shown = text;
    if (isFinal(state)) return record;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function outcome(record: MigrationRecord): string {
  const { id, container, state, source, target, result, error, totalMs } = record;
  if (state === 'completed') {
    const stall = result?.stallMs === null ? '' : `, stall ${formatMs(result?.stallMs)}`;
    return `migration ${id}: ${container} moved ${source} -> ${target}: downtime ${formatMs(result?.downtimeMs)}${stall}, total ${formatMs(totalMs)}`;
  }
  const reason = error === null ? '' : `: ${error.message}`;
  const action = error?.action === undefined ? '' : `\nwhat to do: ${error.action}`;
  const lines = (error?.lines ?? []).map((line) => `\n  | ${line}`).join('');
  return `migration ${id} of ${container}: ${state}${reason}${lines}${action}`;
}

function exitOf({ state, error }: MigrationRecord): number {
  if (state === 'completed') return exitCode.done;
  if (state === 'refused')
    return error === null ? exitCode.refused : RankshiftError.from(error).exitCode || exitCode.refused;
  return state === 'needs-operator' ? exitCode.needsOperator : exitCode.rolledBack;
}
