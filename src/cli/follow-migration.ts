import { constants } from 'node:os';
import type { ApiClient } from '../api/client.ts';
import { exitCode, RankshiftError } from '../errors.ts';
import { isFinal } from '../migration/machine.ts';
import { type MigrationRecord, migrationRecordSchema, type Progress, progressSchema } from '../migration/record.ts';
import { isAway } from './away.ts';
import { describeProgress } from './describe-progress.ts';
import { formatMs } from './table.ts';

/** The controller answers when there is a change, or after this long with the progress. */
const waitMs = { told: 1000, silent: 5000 };
const pauseMs = 100;
const awayMs = 1000;

/** Ctrl-C ends our waiting, not the migration: it is the service's, and half of it cannot be left undone. */
export function leaveOnInterrupt(told: string): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      console.error(`\n${told}`);
      process.exit(128 + constants.signals[signal]);
    });
  }
}

/** Asks until the migration is in a final state, telling each change; `tell` null: only the end is wanted. */
export async function follow(
  api: ApiClient,
  first: MigrationRecord,
  tell: ((line: string) => void) | null,
): Promise<MigrationRecord> {
  let shown = '';
  let seen = '';
  const query = (state: string) => (tell === null ? `wait=${waitMs.silent}` : `wait=${waitMs.told}&seen=${state}`);
  for (;;) {
    let record: MigrationRecord;
    let progress: Progress | null;
    try {
      const answer = await api.get(`/v1/migrations/${first.id}?${query(seen)}`);
      record = migrationRecordSchema.parse(answer.migration);
      progress = progressSchema.nullable().default(null).parse(answer.progress);
    } catch (error) {
      if (!isAway(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, awayMs));
      continue;
    }
    const { state, source, target, waitingFor } = record;
    const text = `${state}${target === null ? '' : `  ${source} -> ${target}`}${waitingFor === null ? '' : `  (waiting: ${waitingFor})`}${progress === null ? '' : `  ${describeProgress(progress)}`}`;
    if (text !== shown && !isFinal(state)) tell?.(text);
    shown = text;
    if (isFinal(state)) return record;
    seen = state;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

export function outcome(record: MigrationRecord): string {
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

export function exitOf({ state, error }: MigrationRecord): number {
  if (state === 'completed') return exitCode.done;
  if (state === 'refused')
    return error === null ? exitCode.refused : RankshiftError.from(error).exitCode || exitCode.refused;
  return state === 'needs-operator' || state === 'lost' ? exitCode.needsOperator : exitCode.rolledBack;
}
