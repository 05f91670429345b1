import { cgroupDirectory } from '../container/find-init.ts';
import type { FinishResult } from '../migration/commands.ts';
import { untilSent } from '../pages/page-senders.ts';
import { untilPopulated, whyLost } from '../pages/page-server.ts';
import { breakpoint } from '../process/breakpoint.ts';
import type { AgentContext } from './context.ts';
import { exclusively } from './exclusively.ts';
import { type Role, readRole } from './files.ts';
import { workDirOf } from './local-handle.ts';
import { unmountMigration } from './migration-dir.ts';
import { refreshPeers } from './refresh-places.ts';
import { isRemoved, removeContainer } from './remove-container.ts';
import { resolve } from './resolve.ts';

/** After that the controller asks again. */
const populationMs = 45_000;

/**
 * After a commit: the source's container and the images of both sides go. They go only once this node is in line with the
 * commit record: a container that did not come up on its target needs them still. With `ended` the record knows how it
 * ended, and nobody asks again. Idempotent.
 * @throws RankshiftError E_CRIU where the container cannot be brought up.
 */
export async function finish(
  context: AgentContext,
  migration: string,
  { ended }: { ended: boolean },
): Promise<FinishResult> {
  const { config } = context;
  const role = await readRole(config, migration);
  if (role === null) return { outcome: 'done', reason: null };
  await breakpoint(config, `${role.role}-finishing`);
  if (role.role === 'target') {
    const before = await whyLost(workDirOf(config, migration));
    if (before !== null && !ended) return { outcome: 'lost', reason: before };
    if (before === null) {
      const filled = await finishTarget(context, role);
      if (filled.outcome === 'filling' || (filled.outcome === 'lost' && !ended)) return filled;
    }
  } else if (!(await finishSource(context, role))) {
    return { outcome: 'filling', reason: null };
  }
  await exclusively(context, migration, async () => {
    await unmountMigration(config, migration);
  });
  return { outcome: 'done', reason: null };
}

async function finishTarget(context: AgentContext, { migration, facts }: Role): Promise<FinishResult> {
  const { config, log } = context;
  const { outcome } = await resolve(context, migration);
  if (outcome === 'committed') {
    // A peer whose agent was restarted during the switch took its table from the record of that time.
    await refreshPeers(context, facts).catch((error: Error) =>
      log.warn({ migration, error: error.message }, 'a peer was not told; it asks the records itself'),
    );
  }
  const workDir = workDirOf(config, migration);
  if (!(await untilPopulated(workDir, populationMs))) return { outcome: 'filling', reason: null };
  const reason = await whyLost(workDir);
  return reason === null ? { outcome: 'done', reason: null } : { outcome: 'lost', reason };
}

/** False while the frozen container is still all that has the pages that were left behind. */
async function finishSource(context: AgentContext, { migration, postCopy, container, facts }: Role): Promise<boolean> {
  // The switch has begun with it (switch-source.ts). Nothing that CRIU still did could be there: it came after CRIU's end.
  if (await isRemoved(context, container)) return true;
  const { outcome } = await resolve(context, migration);
  if (!postCopy || outcome !== 'committed') return true;
  if (!(await untilSent(await cgroupDirectory(facts.job, facts.index), populationMs))) return false;
  await exclusively(context, migration, () => removeContainer(context, container));
  return true;
}
