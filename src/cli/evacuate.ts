import { constants } from 'node:os';
import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { exitCode } from '../errors.ts';
import { type GroupMember, type GroupRecord, groupMemberSchema, groupRecordSchema } from '../migration/group.ts';
import { summaryOf } from '../migration/group-step.ts';
import { foldHostlist } from '../slurm/hostlist.ts';
import { isAway } from './away.ts';
import { describeGroup, memberLine, readGroupAnswer } from './describe-group.ts';
import { table } from './table.ts';

/** The controller answers at the end, or after this long with what has changed. */
const waitMs = 1000;
const pauseMs = 100;

interface EvacuateOptions {
  to?: string;
  reason?: string;
  wait?: true;
  dryRun?: true;
  json?: true;
  origin?: 'reboot';
}

const dryRunSchema = z.object({ plan: z.array(groupMemberSchema), notes: z.array(z.string()) });
const startedSchema = z.object({
  groups: z.array(z.object({ group: groupRecordSchema, joined: z.boolean() })),
  notes: z.array(z.string()),
});

const help = `
Without --wait it returns when the moves are requested. With --wait: 0 all went, 3 none could, 4 some stayed or it was
called off, 5 one is lost. Ctrl-C ends the waiting only; rankshift cancel ID calls the rest off. Asked again for a node
that is being emptied, it joins.`;

/** `rankshift evacuate NODES` */
export function evacuateCommand(): Command {
  return new Command('evacuate')
    .description('move all rank containers away from nodes; what cannot go is listed with its reason')
    .argument('<nodes>', 'host list, for example n[1-4,7]')
    .option('--to <nodes>', 'only to these nodes (default: chosen)')
    .option('--reason <text>', 'why, for the records', '')
    .option('--wait', 'wait for the end; the exit code says how it ended')
    .option('--dry-run', 'say what would go where, and do nothing')
    .option('--json', 'JSON, for programs')
    .addHelpText('after', help)
    .action(async (nodes: string, options: EvacuateOptions) => {
      const { to, reason = '' } = options;
      await ask('/v1/evacuations', { nodes, reason, ...(to === undefined ? {} : { to }) }, options);
    });
}

/** `rankshift return NODES` */
export function returnCommand(): Command {
  return new Command('return')
    .description('bring back to nodes what evacuations took away from them')
    .argument('<nodes>', 'host list, for example n[1-4,7]')
    .option('--reason <text>', 'why, for the records', '')
    .option('--wait', 'wait for the end; the exit code says how it ended')
    .option('--dry-run', 'say what would come back, and do nothing')
    .option('--json', 'JSON, for programs')
    .addHelpText('after', help)
    .action(async (nodes: string, options: EvacuateOptions) => {
      await ask('/v1/returns', { nodes, reason: options.reason ?? '' }, options);
    });
}

async function ask(path: string, request: Record<string, unknown>, options: EvacuateOptions): Promise<void> {
  const api = new ApiClient(loadConfig());
  const json = options.json === true;
  if (options.dryRun === true) {
    const { plan, notes } = dryRunSchema.parse(await api.post(path, { ...request, dryRun: true }));
    if (json) console.log(JSON.stringify({ version: 1, plan, notes }));
    else console.log(describePlan(plan));
    if (!json) for (const note of notes) console.error(`note: ${note}`);
    process.exitCode = plan.length > 0 && plan.every(({ to }) => to === null) ? exitCode.refused : exitCode.done;
    return;
  }
  const { groups, notes } = startedSchema.parse(await api.post(path, request));
  if (!json) for (const note of notes) console.error(`note: ${note}`);
  if (options.wait === undefined) {
    if (json) console.log(JSON.stringify({ version: 1, groups: groups.map(({ group }) => group), notes }));
    else for (const { group, joined } of groups) console.log(started(group, joined));
    return;
  }
  leaveOnInterrupt(groups.map(({ group }) => group));
  const ended: GroupRecord[] = [];
  for (const { group, joined } of groups) {
    if (!json) console.error(started(group, joined));
    ended.push(await follow(api, group, json ? () => undefined : (line) => console.error(line)));
  }
  if (json) console.log(JSON.stringify({ version: 1, groups: ended, notes }));
  else for (const group of ended) console.log(describeGroup(group, []));
  process.exitCode = Math.max(exitCode.done, ...ended.map(exitOf));
}

function started({ id, kind, nodes, members }: GroupRecord, joined: boolean): string {
  const word = kind === 'return' ? 'to' : 'of';
  const going = members.filter(({ state }) => state !== 'stays').length;
  const head = `${kind} ${id} ${word} ${foldHostlist(nodes)}${joined ? ' goes on already' : ''}: ${going} of ${members.length} containers go`;
  const staying = members.filter(({ state }) => state === 'stays').map((member) => memberLine(member));
  return [head, ...staying.map((line) => `  ${line}`)].join('\n');
}

function describePlan(plan: readonly GroupMember[]): string {
  if (plan.length === 0) return 'no container would move';
  const rows = plan.map(({ container, from, to, reasons }) => [
    container,
    from,
    to ?? '-',
    reasons.map(({ message }) => message).join('; '),
  ]);
  return table(['CONTAINER', 'FROM', 'TO', 'WHY NOT'], rows);
}

/** Ctrl-C ends our waiting, not the evacuation: the service does it. */
function leaveOnInterrupt(groups: readonly GroupRecord[]): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      for (const { id, kind } of groups) {
        console.error(
          `\n${kind} ${id} goes on; follow it with: rankshift show ${id}; call it off with: rankshift cancel ${id}`,
        );
      }
      process.exit(128 + constants.signals[signal]);
    });
  }
}

/** Asks until the group has ended, telling the whole and each container whenever one of them changes. */
export async function follow(api: ApiClient, first: GroupRecord, tell: (line: string) => void): Promise<GroupRecord> {
  const shown = new Map<string, string>();
  for (;;) {
    try {
      const answer = readGroupAnswer(await api.get(`/v1/groups/${first.id}?wait=${shown.size === 0 ? 0 : waitMs}`));
      const { group } = answer;
      for (const [key, line] of linesOf(answer)) {
        if (shown.get(key) !== line) tell(line);
        shown.set(key, line);
      }
      if (group.state !== 'active') return group;
    } catch (error) {
      if (!isAway(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function linesOf({ group, migrations, progress }: ReturnType<typeof readGroupAnswer>): [string, string][] {
  const byId = new Map(migrations.map((migration) => [migration.id, migration]));
  const each = group.members
    .filter(({ state }) => state !== 'waiting')
    .map((member): [string, string] => [
      member.container,
      `  ${memberLine(member, byId.get(member.migration ?? ''), progress[member.migration ?? ''])}`,
    ]);
  return [...each, ['', `${group.id}: ${summaryOf(group.members)}`]];
}

export function exitOf({ state, members }: GroupRecord): number {
  const has = (wanted: GroupMember['state']) => members.some((member) => member.state === wanted);
  if (has('lost') || members.some(({ reasons }) => reasons.some(({ code }) => code === 'needs-operator')))
    return exitCode.needsOperator;
  if (state === 'completed') return exitCode.done;
  return state === 'incomplete' && !has('moved') ? exitCode.refused : exitCode.rolledBack;
}
