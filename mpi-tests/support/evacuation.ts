import { z } from 'zod';
import { type GroupRecord, groupRecordSchema } from '../../src/migration/group.ts';
import { migrationRecordSchema } from '../../src/migration/record.ts';
import { parseAnswer } from './answers.ts';
import type { Cluster } from './cluster.ts';
import { until } from './until.ts';

export const groupsAnswer = z.object({ version: z.literal(1), groups: z.array(groupRecordSchema) });
const groupAnswer = z.object({
  version: z.literal(1),
  group: groupRecordSchema,
  migrations: z.array(migrationRecordSchema),
});

/** `rankshift slurm install` on all nodes as an administrator does it, with settings of rankshift.conf beside. */
export async function installIntoSlurm(
  cluster: Cluster,
  settings: Record<string, string>,
  more: readonly string[] = [],
): Promise<void> {
  const argv = ['rankshift', 'slurm', 'install', '--yes', '--reboot-program', '/usr/local/sbin/reboot-node', ...more];
  for (const node of ['ctl', ...cluster.nodes]) await cluster.output(node, argv);
  await cluster.output('ctl', ['scontrol', 'reconfigure']);
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  await cluster.output('ctl', ['tee', '-a', '/etc/rankshift/rankshift.conf'], { input: `${lines.join('\n')}\n` });
  const pid = await cluster.output('ctl', ['cat', '/run/rankshift/controller.pid']);
  await cluster.output('ctl', ['kill', pid]);
  await until(
    'the controller is another',
    async () => (await cluster.output('ctl', ['cat', '/run/rankshift/controller.pid'])) !== pid,
  );
  await cluster.untilReady();
}

export async function groups(cluster: Cluster): Promise<GroupRecord[]> {
  return parseAnswer(groupsAnswer, await cluster.rankshift(['show', '--groups', '--json'], { user: 'root' })).groups;
}

/** `rankshift show eN --json`: the group and its moves. */
export async function showGroup(cluster: Cluster, id: string) {
  return parseAnswer(groupAnswer, await cluster.rankshift(['show', id, '--json'], { user: 'root' }));
}

export async function untilGroupEnded(cluster: Cluster, id: string, timeoutMs = 120_000): Promise<GroupRecord> {
  return until(
    `${id} ends`,
    async () => (await groups(cluster)).find((group) => group.id === id && group.state !== 'active'),
    { timeoutMs, pollMs: 200 },
  );
}
