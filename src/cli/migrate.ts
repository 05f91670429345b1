import { constants } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { exitCode, RankshiftError } from '../errors.ts';
import { isFinal } from '../migration/machine.ts';
import {
  type ClockPolicy,
  clockPolicySchema,
  type MigrationRecord,
  migrationRecordSchema,
  type Progress,
  progressSchema,
  type Quiesce,
  quiesceSchema,
  type Strategy,
  strategySchema,
} from '../migration/record.ts';
import { type Compression, compressionSchema, mostStreams, streamsSchema } from '../migration/wire.ts';
import { describeProgress } from './describe-progress.ts';
import { parseDuration, parseRate } from './quantities.ts';
import { formatMs } from './table.ts';
import { parseTime } from './times.ts';

const pollMs = 250;

export interface MigrateOptions {
  to?: string;
  clock?: ClockPolicy;
  quiesce?: Quiesce;
  strategy?: Strategy | 'auto';
  maxDowntime?: string;
  bandwidth?: string;
  compression?: Compression | 'auto';
  streams?: number | 'auto';
  force?: true;
  notBefore?: string;
  window?: string;
  overridePolicy?: true;
  verify?: true;
  wait?: true;
  json?: true;
}

/** `rankshift migrate JOB[.CONTAINER]` */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description('move a rank container of a running job to another node, while its peers run on')
    .argument('<container>', 'JOB.CONTAINER, or JOB where it has one container')
    .option('--to <node>', 'target node (default: chosen)')
    .addOption(
      new Option(
        '--clock <policy>',
        'continuous: MPI_Wtime runs on; frozen: it hides the downtime (default: ClockPolicy of the configuration)',
      ).choices(clockPolicySchema.options),
    )
    .addOption(
      new Option(
        '--quiesce <how>',
        'drain: send queues are let empty in the freeze; mpi: the ranks park at their next MPI call before it; none: neither (default: Quiesce of the configuration)',
      ).choices(quiesceSchema.options),
    )
    .addOption(strategyOption())
    .addOption(maxDowntimeOption())
    .addOption(bandwidthOption())
    .addOption(compressionOption())
    .addOption(streamsOption())
    .addOption(forceOption())
    .addOption(verifyOption())
    .option('--not-before <time>', 'wait in the queue until then; as sbatch --begin: 22:00, tomorrow, now+2hours')
    .option('--window <window>', 'begin in this window only, in local time of the management node: 22:00-06:00')
    .option('--override-policy', 'go against the policy of the site (administrators)')
    .option('--wait', 'wait for the end; the exit code says how it ended')
    .option('--json', 'print the record of the migration as JSON')
    .addHelpText(
      'after',
      `
Without --wait it returns when the request is queued. With --wait: 0 moved, 3 refused, 4 rolled back (the container
runs where it ran), 5 needs an operator, or the container is lost. Ctrl-C ends the waiting only; rankshift cancel calls the migration off.`,
    )
    .action(async (container: string, options: MigrateOptions) => {
      const api = new ApiClient(loadConfig());
      const request = {
        container,
        ...(options.to === undefined ? {} : { to: options.to }),
        ...howToMove(options),
        ...(options.quiesce === undefined ? {} : { quiesce: options.quiesce }),
        ...(options.clock === undefined ? {} : { clockPolicy: options.clock }),
        ...whenToMove(options),
      };
      const first = migrationRecordSchema.parse((await api.post('/v1/migrations', request)).migration);
      if (options.wait === undefined) {
        console.log(
          options.json === true
            ? JSON.stringify({ version: 1, migration: first })
            : `migration ${first.id} of ${first.container} queued${first.waitingFor === null ? '' : `; waits for ${first.waitingFor}`}`,
        );
        return;
      }
      leaveOnInterrupt(first.id);
      if (options.json === undefined) console.error(`migration ${first.id} of ${first.container}`);
      const last = await follow(api, first, options.json === true ? () => undefined : (line) => console.error(line));
      if (options.json === true) console.log(JSON.stringify({ version: 1, migration: last }));
      else console.log(outcome(last));
      process.exitCode = exitOf(last);
    });
}

export const maxDowntimeOption = () =>
  new Option('--max-downtime <time>', 'refuse where a longer downtime is predicted, for example 500ms');
export const bandwidthOption = () =>
  new Option(
    '--bandwidth <rate>',
    'most that rounds before the freeze take of the link, bytes per second, for example 100M',
  );
export const compressionOption = () =>
  new Option(
    '--compression <kind>',
    'of memory on its way; auto: where it carries more pages than the link does without (default: Compression of the configuration)',
  ).choices(['auto', ...compressionSchema.options]);
export const streamsOption = () =>
  new Option('--streams <n>', 'connections, 1-16 or auto (default: Streams of the configuration)').argParser((text) => {
    const parsed = streamsSchema.safeParse(Number(text));
    if (text === 'auto' || parsed.success) return parsed.data ?? 'auto';
    throw new InvalidArgumentError(`allowed is auto or 1 to ${mostStreams}`);
  });
export const forceOption = () => new Option('--force', 'go although --max-downtime cannot be kept');

export const verifyOption = () =>
  new Option(
    '--verify',
    "compare every page of the restored container with the source's before it may run, for tests; costs downtime",
  );

/** @throws RankshiftError E_BAD_INPUT. */
function whenToMove({ notBefore, window, overridePolicy }: MigrateOptions) {
  return {
    ...(notBefore === undefined ? {} : { notBefore: parseTime('--not-before', notBefore, { ofDay: 'next' }) }),
    ...(window === undefined ? {} : { window }),
    ...(overridePolicy === undefined ? {} : { overridePolicy }),
  };
}

/** What `migrate` and `plan` have in common. @throws RankshiftError E_BAD_INPUT. */
export function howToMove({
  strategy,
  maxDowntime,
  bandwidth,
  compression,
  streams,
  force,
  verify,
}: Pick<MigrateOptions, 'strategy' | 'maxDowntime' | 'bandwidth' | 'compression' | 'streams' | 'force' | 'verify'>) {
  return {
    ...(strategy === undefined ? {} : { strategy }),
    ...(maxDowntime === undefined ? {} : { maxDowntimeMs: parseDuration('--max-downtime', maxDowntime) }),
    ...(bandwidth === undefined ? {} : { bandwidth: parseRate('--bandwidth', bandwidth) }),
    ...(compression === undefined ? {} : { compression }),
    ...(streams === undefined ? {} : { streams }),
    ...(force === undefined ? {} : { force }),
    ...(verify === undefined ? {} : { verify }),
  };
}

export function strategyOption(): Option {
  return new Option(
    '--strategy <strategy>',
    'pre-copy: memory goes while the ranks run; stop-and-copy: in the freeze; post-copy: when they run on the target; hybrid: pre-copy, and post-copy of what the ranks write too fast; auto: by the model',
  ).choices(['auto', ...strategySchema.options]);
}

/** Ctrl-C ends our waiting, not the migration: it is the service's, and half of it cannot be left undone. */
function leaveOnInterrupt(id: string): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      console.error(
        `\nmigration ${id} goes on; follow it with: rankshift show ${id}; call it off with: rankshift cancel ${id}`,
      );
      process.exit(128 + constants.signals[signal]);
    });
  }
}

/** Asks until the migration is in a final state, telling each change. */
export async function follow(
  api: ApiClient,
  first: MigrationRecord,
  tell: (line: string) => void,
): Promise<MigrationRecord> {
  let shown = '';
  for (;;) {
    let record: MigrationRecord;
    let progress: Progress | null;
    try {
      const answer = await api.get(`/v1/migrations/${first.id}`);
      record = migrationRecordSchema.parse(answer.migration);
      progress = progressSchema.nullable().default(null).parse(answer.progress);
    } catch (error) {
      // The controller may be restarting; the migration goes on without us.
      if (RankshiftError.from(error).code !== 'E_SERVICE') throw error;
      await new Promise((resolve) => setTimeout(resolve, 4 * pollMs));
      continue;
    }
    const { state, source, target, waitingFor } = record;
    const text = `${state}${target === null ? '' : `  ${source} -> ${target}`}${waitingFor === null ? '' : `  (waiting: ${waitingFor})`}${progress === null ? '' : `  ${describeProgress(progress)}`}`;
    if (text !== shown && !isFinal(state)) tell(text);
    shown = text;
    if (isFinal(state)) return record;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
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
