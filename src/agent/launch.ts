import { containerDir } from '../config.ts';
import { createAndStart, runcId } from '../container/runtime.ts';
import { RankshiftError } from '../errors.ts';
import type { ContainerFacts, Places } from '../migration/commands.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { buildBundle, buildNetwork, buildUpper, mountContainer } from './build-container.ts';
import { confineContainer } from './confine-container.ts';
import type { AgentContext } from './context.ts';
import { readLocalContainer, writeLocalContainer } from './files.ts';
import { takeRecords } from './our-records.ts';
import { removalEnded, removeContainer } from './remove-container.ts';

/** Starts a rank container on this node; on a failure nothing of it stays. */
export async function launch(context: AgentContext, facts: ContainerFacts, places: Places): Promise<void> {
  const { config, node } = context;
  const { id } = facts;
  await removalEnded(context, id);
  if ((await readLocalContainer(config, id)) !== null)
    throw new RankshiftError('E_BUSY', `${node} has a container ${id} already`);
  await takeRecords(context);
  try {
    await buildNetwork(context, facts, places, false);
    await buildUpper(context, facts);
    await mountContainer(config, facts);
    await buildBundle(context, facts);
    await createAndStart(config, runcId(facts.job, facts.index), containerDir(config, id));
    await confineContainer(context, facts, facts.job).catch((error: Error) =>
      context.log.warn({ container: id, error: error.message }, 'not confined to the processors of its job'),
    );
    await breakpoint(config, 'launch-started');
    await writeLocalContainer(config, { facts, epoch: 1 });
  } catch (error) {
    await removeContainer(context, id).catch((failure: Error) =>
      context.log.error({ container: id, error: failure.message }, 'not removed'),
    );
    throw error;
  }
}
