import { RankshiftError } from '../errors.ts';
import type { GroupRecord } from '../migration/group.ts';
import type { MigrationRecord, MigrationRequest } from '../migration/record.ts';
import { createGroup, newGroupId } from '../store/groups.ts';
import type { Caller } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { cancelMigration, checkRequest, queueMigration } from './requests.ts';

/**
 * Several containers that somebody named, in one group: all are queued, or none.
 * @throws RankshiftError as a single request does, and E_BAD_INPUT where a container is named twice.
 */
export async function submitSet(
  context: ControllerContext,
  caller: Caller,
  requests: readonly MigrationRequest[],
): Promise<{ group: GroupRecord; migrations: MigrationRecord[] }> {
  refuseTwice(requests);
  const checked = await Promise.all(
    requests.map(async (request) => ({ request, ...(await checkRequest(context, caller, request)) })),
  );
  const group = await newGroupId(context.redis);
  const requestedBy = { uid: caller.uid, name: caller.name };
  // Their records first: a group without them would be taken for one whose moves are yet to begin.
  const migrations: MigrationRecord[] = [];
  try {
    for (const { request, container, ...terms } of checked)
      migrations.push(await queueMigration(context, requestedBy, container, { ...request, group }, terms));
  } catch (error) {
    for (const { id } of migrations) await cancelMigration(context, caller, id).catch(() => undefined);
    throw error;
  }
  const members = migrations.map(({ id, container, job, request }, index) => ({
    ...{ container, job, from: checked[index]?.container.owner ?? '', to: request.to ?? null },
    ...{ migration: id, tries: 1, state: 'moving' as const, notBefore: 0, reasons: [] },
  }));
  const record = await createGroup(
    context.redis,
    {
      ...{ kind: 'set', origin: 'command', reason: '', members },
      nodes: [...new Set(members.map(({ from }) => from))],
      targets: [...new Set(requests.flatMap(({ to }) => to ?? []))],
      requestedBy,
    },
    group,
  );
  return { group: record, migrations };
}

/** @throws RankshiftError E_BAD_INPUT */
export function refuseTwice(requests: readonly Pick<MigrationRequest, 'container'>[]): void {
  const names = requests.map(({ container }) => container);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new RankshiftError('E_BAD_INPUT', `${twice} was named twice`);
}
