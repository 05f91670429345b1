import { isFinal } from '../migration/machine.ts';
import { within } from '../store/connection.ts';
import { readMigration } from '../store/migrations.ts';
import type { AgentContext } from './context.ts';
import { listRoles } from './files.ts';
import { finish } from './finish.ts';

const questionMs = 3000;

/**
 * Ends this node's part in migrations that have ended without it: their driver gave up asking, or a command of an
 * earlier driver came late. What is done follows the commit record alone.
 */
export async function sweepRoles(context: AgentContext): Promise<void> {
  const { redis, log, operations } = context;
  for (const { migration, role } of await listRoles(context.config)) {
    if (operations.has(migration)) continue;
    try {
      const { state } = await within(questionMs, readMigration(redis, migration));
      if (!isFinal(state) || state === 'needs-operator') continue;
      log.warn({ migration, role, state }, 'a migration has ended without this node: settling it');
      await finish(context, migration, { ended: true });
    } catch (error) {
      // One that cannot be settled keeps neither the others waiting nor what else is looked at.
      log.warn({ migration, role, error: (error as Error).message }, 'not settled yet');
    }
  }
}
