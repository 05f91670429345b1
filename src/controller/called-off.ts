import type { Terms } from '../migration/policy-terms.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { readMigration } from '../store/migrations.ts';
import type { Apply } from './apply.ts';
import type { ControllerContext } from './context.ts';
import { letGo } from './let-go.ts';
import { whyCancelled } from './why-cancelled.ts';

/** True where its window has closed meanwhile, or the policy has changed: it waits in `queued`, and nobody drives it. */
export async function postponed(
  context: ControllerContext,
  start: MigrationRecord,
  apply: Apply,
  { notBefore }: Pick<Terms, 'notBefore'>,
): Promise<boolean> {
  if (notBefore === null) return false;
  const { state, cancelRequested } = await readMigration(context.redis, start.id);
  if (state !== 'queued' || cancelRequested) return false;
  await apply({ type: 'postponed', at: Date.now(), until: notBefore.at, reason: notBefore.why });
  // Nobody waits for it meanwhile, and it holds nothing.
  await letGo(context, start);
  return true;
}

/** True where the move was called off, which is done with it then. @param undo what was begun. */
export async function cancelled(
  context: ControllerContext,
  id: string,
  apply: Apply,
  undo?: () => Promise<void>,
): Promise<boolean> {
  return await calledOff(context, await readMigration(context.redis, id), apply, undo);
}

/** The same of a record that is known. */
export async function calledOff(
  context: ControllerContext,
  record: MigrationRecord,
  apply: Apply,
  undo?: () => Promise<void>,
): Promise<boolean> {
  if (!record.cancelRequested) return false;
  await undo?.();
  await apply({ type: 'cancelled', at: Date.now(), error: await whyCancelled(context, record) });
  return true;
}
