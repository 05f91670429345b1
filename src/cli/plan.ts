import { Command } from 'commander';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { exitCode } from '../errors.ts';
import { type Plan, planSchema } from '../migration/record.ts';
import { remedyOf } from '../migration/remedies.ts';
import {
  bandwidthOption,
  compressionOption,
  forceOption,
  howToMove,
  type MigrateOptions,
  maxDowntimeOption,
  strategyOption,
  streamsOption,
  verifyOption,
} from './migrate.ts';
import { formatBytes, formatMs } from './table.ts';

/** `rankshift plan JOB[.CONTAINER]`: the dry run of migrate. */
export function planCommand(): Command {
  return new Command('plan')
    .description('dry run of migrate: the same checks, nothing changed, every reason against the move')
    .argument('<container>', 'JOB.CONTAINER, or JOB where it has one container')
    .option('--to <node>', 'target node (default: chosen)')
    .addOption(strategyOption())
    .addOption(maxDowntimeOption())
    .addOption(bandwidthOption())
    .addOption(compressionOption())
    .addOption(streamsOption())
    .addOption(forceOption())
    .addOption(verifyOption())
    .option('--json', 'JSON, for programs')
    .addHelpText('after', '\nExit code 0 if it can move, 3 if not.')
    .action(async (container: string, { to, json, ...how }: MigrateOptions) => {
      const api = new ApiClient(loadConfig());
      const plan = planSchema.parse(
        (
          await api.post('/v1/plans', {
            container,
            ...(to === undefined ? {} : { to }),
            ...howToMove(how),
          })
        ).plan,
      );
      console.log(json ? JSON.stringify({ version: 1, plan }) : describe(plan));
      if (plan.reasons.length > 0) process.exitCode = exitCode.refused;
    });
}

/** What the target lacks of the image. */
function layerLines(layers: Plan['layers']): string[] {
  return layers.map(({ digest, bytes, from, roundTripMs }) => {
    const where = from[0] === undefined ? 'no node can send it' : `from ${from[0]}`;
    const far = roundTripMs === null ? '' : `, round trip ${formatMs(roundTripMs)}`;
    return `layer      ${digest.slice(7, 19)} is missing on the target: ${formatBytes(bytes)} ${where}${far}`;
  });
}

function describe(plan: Plan): string {
  const lines = [
    `container  ${plan.container}`,
    `move       ${plan.source} -> ${plan.target ?? '(no target)'}`,
    // Without a target there is nothing to predict, and only one thing to say.
    ...(plan.target === null ? [] : [strategy(plan), ...tracking(plan)]),
    `memory     ${formatBytes(plan.memoryBytes)}`,
    ...layerLines(plan.layers),
    ...(plan.target === null ? [] : predictions(plan)),
    ...plan.allocation.map((line) => `slurm      ${line}`),
    ...plan.warnings.map((warning) => `warning    ${warning}`),
  ];
  if (plan.reasons.length === 0) return [...lines, 'verdict    can move'].join('\n');
  return [
    ...lines,
    'verdict    refused:',
    ...plan.reasons.map(({ code, message }) => `  ${code}: ${message}`),
    `what to do ${remedyOf(plan.reasons, plan.source, plan.target)}`,
  ].join('\n');
}

function strategy({ strategy: way, strategyReason }: Plan): string {
  return `strategy   ${way}${strategyReason === '' ? '' : ` (${strategyReason})`}`;
}

/** Where both kernels have our tracker there is nothing to say. */
function tracking({ tracking: how, trackingReason }: Plan): string[] {
  if (trackingReason === '' || how === 'wp-async') return [];
  return [`tracking   ${how === null ? 'none' : 'soft-dirty, by CRIU'} (${trackingReason})`];
}

function predictions({ link, wire, predicted }: Plan): string[] {
  if (link === null) return ['link       not measured', 'downtime   not predicted: the link was not measured'];
  const measured = `link       ${formatBytes(link.bytesPerSecond)}/s, round trip ${formatMs(link.roundTripMs)}`;
  const way = wire === null ? [] : [describeWire(wire)];
  if (predicted === null) return [measured, ...way, 'downtime   not predicted: no move was measured yet'];
  return [
    measured,
    ...way,
    `downtime   about ${formatMs(predicted.downtimeMs)}`,
    `total      about ${formatMs(predicted.totalMs)}`,
  ];
}

function describeWire({ compression, streams, why }: NonNullable<Plan['wire']>): string {
  const how = compression === 'none' ? 'not compressed' : compression;
  return `wire       ${how}, ${streams} connection${streams === 1 ? '' : 's'} (${why})`;
}
