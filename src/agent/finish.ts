import { breakpoint } from '../process/breakpoint.ts';
import type { AgentContext } from './context.ts';
import { readRole } from './files.ts';
import { unmountMigration } from './migration-dir.ts';
import { removeContainer } from './remove-container.ts';

/** After a commit: the source's container and the images of both sides go. Idempotent. */
export async function finish(context: AgentContext, migration: string, container: string): Promise<void> {
  const { config } = context;
  const running = context.operations.get(migration);
  if (running !== undefined) await running.catch(() => undefined);
  const role = await readRole(config, migration);
  if (role === null) return;
  await breakpoint(config, `${role.role}-finishing`);
  if (role.role === 'source') await removeContainer(context, container);
  context.pageServers.delete(migration);
  await unmountMigration(config, migration);
}
