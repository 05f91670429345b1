import type { MigrationRecord, Progress } from '../migration/record.ts';
import { describeProgress } from './describe-progress.ts';
import { formatBytes, formatMs, formatTime, table } from './table.ts';

/** A migration as a person reads it: what, how it ended, phases, timeline, bytes, clock. */
export function describeMigration(record: MigrationRecord, progress: Progress | null = null): string {
  const far = progress === null ? '' : `progress    ${describeProgress(progress)}`;
  return [
    head(record),
    far,
    phases(record),
    measured(record),
    allocation(record),
    clock(record),
    timeline(record),
    failure(record),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function head({
  id,
  container,
  state,
  source,
  target,
  requestedBy,
  createdAt,
  endedAt,
  waitingFor,
  request,
}: MigrationRecord): string {
  return [
    `migration   ${id}`,
    `container   ${container}`,
    `state       ${state}`,
    `move        ${source ?? '?'} -> ${target ?? request.to ?? '?'}`,
    `asked by    ${requestedBy.name}`,
    `start       ${formatTime(createdAt)}`,
    `end         ${endedAt === null ? '-' : formatTime(endedAt)}`,
    ...(waitingFor === null ? [] : [`waiting     ${waitingFor}`]),
  ].join('\n');
}

function phases({ phases: all }: MigrationRecord): string {
  const rows = all.filter((phase) => phase.ms !== 0).map((phase) => [phase.name, formatMs(phase.ms)]);
  return table(['PHASE', 'TIME'], rows);
}

function allocation({ allocation: lines }: MigrationRecord): string {
  return lines.map((line) => `slurm       ${line}`).join('\n');
}

function measured({ result, state, totalMs, plan, target }: MigrationRecord): string {
  if (result === null) return '';
  const layers = plan?.layers ?? [];
  const { downtimeMs, stallMs, bytes, quiesce, drain, verified } = result;
  const predicted = (of: 'downtimeMs' | 'totalMs') =>
    plan?.predicted == null ? '' : ` (predicted ${formatMs(plan.predicted[of])})`;
  return [
    downtimeMs === null && state === 'completed'
      ? 'downtime    not measured: the service was interrupted in the switch'
      : `downtime    ${formatMs(downtimeMs)}${predicted('downtimeMs')}`,
    `stall       ${formatMs(stallMs)}`,
    `total       ${formatMs(totalMs)}${predicted('totalMs')}`,
    ...(bytes === null
      ? []
      : [
          `bytes       pages ${formatBytes(bytes.pages)}${onWire(bytes)}, upper directory ${formatBytes(bytes.upper)}, metadata ${formatBytes(bytes.metadata)}`,
        ]),
    ...(layers.length === 0
      ? []
      : [
          `layers      ${layers.length} that the target lacked, ${formatBytes(layers.reduce((sum, { bytes }) => sum + bytes, 0))}`,
        ]),
    ...(result.leftBytes === null
      ? []
      : [`left        ${formatBytes(result.leftBytes)} came when the container ran on ${target ?? 'its target'}`]),
    ...(verified === null
      ? []
      : [`verified    ${verified.pages} pages of ${verified.processes} processes, none differs`]),
    ...(quiesce === null
      ? []
      : [
          `quiesce     ${quiesce.parked} ranks parked, ${quiesce.outside} computing, ${quiesce.inside} inside of MPI after ${formatMs(quiesce.waitedMs)}${quiesce.inside > 0 ? `: the deadline of ${formatMs(quiesce.deadlineMs)} passed` : ''}`,
        ]),
    ...(drain === null
      ? []
      : [
          `drain       ${drain.drained ? 'send queues empty' : `${drain.pendingBytes} bytes left`} after ${formatMs(drain.waitedMs)}`,
        ]),
  ].join('\n');
}

/** What compression made of the pages, where it made something. */
function onWire({ pages, wire }: { pages: number; wire: number | null }): string {
  return wire === null || wire >= pages ? '' : ` (${formatBytes(wire)} on the wire)`;
}

function clock({ result }: MigrationRecord): string {
  if (result?.clock == null) return '';
  const { policy, correctedMs, errorBoundNs, nodeOffsetNs } = result.clock;
  return [
    `clock       ${policy}: corrected by ${correctedMs.toFixed(3)} ms, right to within ${(Number(errorBoundNs) / 1e6).toFixed(3)} ms`,
    `node clocks ${(Number(nodeOffsetNs) / 1e9).toFixed(6)} s apart (target - source)`,
  ].join('\n');
}

function timeline({ result }: MigrationRecord): string {
  const entries = result?.timeline ?? [];
  const zero = entries.find((entry) => entry.name === 'frozen')?.at ?? entries[0]?.at;
  if (zero === undefined) return '';
  const rows = entries.map(({ name, node, at, ms }) => [
    (at - zero).toFixed(1).padStart(9),
    ms === undefined ? '' : ms.toFixed(1).padStart(8),
    node,
    name,
  ]);
  return `timeline, milliseconds from the freeze\n${table(['       AT', '  LENGTH', 'NODE', 'WHAT'], rows)}`;
}

function failure({ error }: MigrationRecord): string {
  if (error === null) return '';
  return [
    `error       ${error.code}${error.phase === undefined ? '' : ` in ${error.phase}`}: ${error.message}`,
    ...(error.lines ?? []).map((line) => `  | ${line}`),
    ...(error.container === undefined ? [] : [`container   ${error.container}`]),
    ...(error.action === undefined ? [] : [`what to do  ${error.action}`]),
  ].join('\n');
}
