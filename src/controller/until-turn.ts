import { isPostponed } from '../migration/machine.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { listMovesOf, readMigration } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';

/** How often a migration looks whether those before it have ended. */
const turnMs = 100;

/** Moves of one container go one after another, in the order of the requests. */
export async function untilTurn(
  context: ControllerContext,
  { id, container }: MigrationRecord,
  wait: (reason: string | null) => Promise<void>,
): Promise<void> {
  const before = async () => {
    const moves = await listMovesOf(context.redis, container);
    return moves.find((other) => Number(other.id) < Number(id) && !isPostponed(other, Date.now()));
  };
  let told = '';
  for (let other = await before(); other !== undefined; other = await before()) {
    const { cancelRequested } = await readMigration(context.redis, id);
    if (cancelRequested || context.stopping.aborted) return;
    const reason = `migration ${other.id} of the same container`;
    if (reason !== told) await wait(reason);
    told = reason;
    await new Promise((resolve) => setTimeout(resolve, turnMs));
  }
}
