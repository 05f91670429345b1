import { z } from 'zod';
import { type GroupMember, type GroupRecord, groupRecordSchema } from '../migration/group.ts';
import { summaryOf } from '../migration/group-step.ts';
import { type MigrationRecord, migrationRecordSchema, type Progress, progressSchema } from '../migration/record.ts';
import { foldHostlist } from '../slurm/hostlist.ts';
import { describeProgress } from './describe-progress.ts';
import { formatMs, formatTime, table } from './table.ts';

const answerSchema = z.object({
  group: groupRecordSchema,
  migrations: z.array(migrationRecordSchema),
  progress: z.record(z.string(), progressSchema.nullable()),
});

export function readGroupAnswer(answer: unknown) {
  return answerSchema.parse(answer);
}

/** `42.1  n2 -> n3  moving (17)  copying ...` */
export function memberLine(member: GroupMember, migration?: MigrationRecord, progress?: Progress | null): string {
  const { container, from, to, state, reasons } = member;
  const way = to === null ? from : `${from} -> ${to}`;
  const number = member.migration === null ? '' : ` (${member.migration})`;
  const phase = state === 'moving' && migration !== undefined ? `  ${migration.state}` : '';
  const far = progress == null ? '' : `  ${describeProgress(progress)}`;
  const why = reasons.length === 0 ? '' : `: ${reasons.map(({ message }) => message).join('; ')}`;
  return `${container}  ${way}  ${state}${number}${phase}${far}${why}`;
}

/** One group in full. */
export function describeGroup(group: GroupRecord, migrations: readonly MigrationRecord[]): string {
  const { id, kind, state, nodes, targets, reason, requestedBy, origin, createdAt, endedAt, members } = group;
  const byId = new Map(migrations.map((migration) => [migration.id, migration]));
  const took = endedAt === null ? '' : `, took ${formatMs(endedAt - createdAt)}`;
  const called = group.cancelRequested && state === 'active' ? ' (being called off)' : '';
  const lines = [
    `${kind} ${id} ${kind === 'return' ? 'to' : 'of'} ${foldHostlist(nodes)}: ${state}${called}, ${summaryOf(members)}${took}`,
    `  requested by ${requestedBy.name} (${origin}) ${formatTime(createdAt)}${reason === '' ? '' : `, reason: ${reason}`}`,
    ...(targets.length === 0 ? [] : [`  only to ${foldHostlist(targets)}`]),
    ...members.map((member) => `  ${memberLine(member, byId.get(member.migration ?? ''))}`),
  ];
  return lines.join('\n');
}

export function groupTable(groups: readonly GroupRecord[], noHeader: boolean): string {
  const rows = groups.map(({ id, kind, state, nodes, requestedBy, origin, members, createdAt, endedAt, reason }) => [
    ...[id, kind, state, foldHostlist(nodes), origin === 'command' ? requestedBy.name : origin, summaryOf(members)],
    ...[formatTime(createdAt), endedAt === null ? '-' : formatMs(endedAt - createdAt), reason],
  ]);
  const header = ['ID', 'KIND', 'STATE', 'NODES', 'BY', 'CONTAINERS', 'START', 'TOTAL', 'REASON'];
  return table(header, rows, { noHeader });
}
