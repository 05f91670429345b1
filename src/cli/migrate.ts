import { Command, InvalidArgumentError, Option } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import {
  type ClockPolicy,
  clockPolicySchema,
  migrationRecordSchema,
  type Quiesce,
  quiesceSchema,
  type Strategy,
  strategySchema,
} from '../migration/record.ts';
import { type Compression, compressionSchema, mostStreams, streamsSchema } from '../migration/wire.ts';
import { dryRunSet } from './dry-run-set.ts';
import { exitOf, follow, leaveOnInterrupt, outcome } from './follow-migration.ts';
import { migrateSet } from './migrate-set.ts';
import { parseDuration, parseRate } from './quantities.ts';
import { parseTime } from './times.ts';

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
  gang?: boolean;
  order?: 'best' | 'given';
  dryRun?: true;
  wait?: true;
  json?: true;
}

/** `rankshift migrate JOB[.CONTAINER]` */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description('move a rank container of a running job to another node, while its peers run on')
    .argument(
      '<container...>',
      'JOB.CONTAINER, or JOB where it has one container; several go as one group, also as CONTAINER=NODE',
    )
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
    .option('--gang', 'containers of one job freeze together, so that it stalls about once (default, of several)')
    .option('--no-gang', 'each freezes by itself')
    .addOption(orderOption())
    .option('--dry-run', 'say what would go where and how long it would take, and do nothing')
    .option('--wait', 'wait for the end; the exit code says how it ended')
    .option('--json', 'print the record of the migration as JSON')
    .addHelpText(
      'after',
      `
Without --wait it returns when the request is queued. With --wait: 0 moved, 3 refused, 4 rolled back (the container
runs where it ran), 5 needs an operator, or the container is lost. Ctrl-C ends the waiting only; rankshift cancel calls the migration off.`,
    )
    .action(async (containers: string[], options: MigrateOptions) => {
      const api = new ApiClient(loadConfig());
      const moves = containers.map((text) => moveOf(text, options.to));
      const [only] = moves;
      const request = {
        ...howToMove(options),
        ...(options.quiesce === undefined ? {} : { quiesce: options.quiesce }),
        ...(options.clock === undefined ? {} : { clockPolicy: options.clock }),
        ...whenToMove(options),
      };
      const { gang, order } = options;
      const together = { ...(gang === undefined ? {} : { gang }), ...(order === undefined ? {} : { order }) };
      if (options.dryRun === true) {
        await dryRunSet(api, { ...request, ...together, moves }, options.json === true);
        return;
      }
      if (only === undefined || moves.length > 1) {
        await migrateSet(api, { ...request, ...together, moves }, options);
        return;
      }
      const first = migrationRecordSchema.parse((await api.post('/v1/migrations', { ...request, ...only })).migration);
      if (options.wait === undefined) {
        console.log(
          options.json === true
            ? JSON.stringify({ version: 1, migration: first })
            : `migration ${first.id} of ${first.container} queued${first.waitingFor === null ? '' : `; waits for ${first.waitingFor}`}`,
        );
        return;
      }
      const { id } = first;
      leaveOnInterrupt(
        `migration ${id} goes on; follow it with: rankshift show ${id}; call it off with: rankshift cancel ${id}`,
      );
      if (options.json === undefined) console.error(`migration ${first.id} of ${first.container}`);
      const last = await follow(api, first, options.json === true ? null : (line) => console.error(line));
      if (options.json === true) console.log(JSON.stringify({ version: 1, migration: last }));
      else console.log(outcome(last));
      process.exitCode = exitOf(last);
    });
}

/** `CONTAINER` or `CONTAINER=NODE`. */
function moveOf(text: string, to: string | undefined): { container: string; to?: string } {
  const [container = '', node = to] = text.split('=', 2);
  return { container, ...(node === undefined ? {} : { to: node }) };
}

export const orderOption = () =>
  new Option('--order <order>', 'of several: best, so that all are done soonest, or given, as they are named').choices([
    'best',
    'given',
  ]);

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
