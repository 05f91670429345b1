import type { ResolveResult } from '../migration/commands.ts';
import { untilPopulated } from '../pages/page-server.ts';
import { breakpoint } from '../process/breakpoint.ts';
import type { AgentContext } from './context.ts';
import { exclusively } from './exclusively.ts';
import { readRole } from './files.ts';
import { workDirOf } from './local-handle.ts';
import { unmountMigration } from './migration-dir.ts';
import { refreshPeers } from './refresh-places.ts';
import { resolve } from './resolve.ts';

/** After that the controller asks again. */
const populationMs = 45_000;

/**
 * After a commit: the source's container and the images of both sides go. They go only once this node is in line with the
 * commit record: a container that did not come up on its target needs them still. Idempotent.
 * @throws RankshiftError E_CRIU where the container cannot be brought up.
 */
export async function finish(context: AgentContext, migration: string): Promise<void> {
  const { config } = context;
  const role = await readRole(config, migration);
  if (role === null) return;
  await breakpoint(config, `${role.role}-finishing`);
  const { outcome }: ResolveResult = await resolve(context, migration);
  if (outcome === 'committed' && role.role === 'target') {
    // A peer whose agent was restarted during the switch took its table from the record of that time.
    await refreshPeers(context, role.facts.job).catch((error: Error) =>
      context.log.warn({ migration, error: error.message }, 'a peer was not told; it asks the records itself'),
    );
  }
  if (role.role === 'target') await untilPopulated(workDirOf(config, migration), populationMs);
  await exclusively(context, migration, async () => {
    await unmountMigration(config, migration);
  });
}
