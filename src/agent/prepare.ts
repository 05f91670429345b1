import { startPageServer } from '../checkpoint/page-server.ts';
import { containerDir } from '../config.ts';
import { prepareContainerDir } from '../container/rootfs.ts';
import { RankshiftError } from '../errors.ts';
import type { CommandPayload } from '../migration/commands.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { buildBundle, buildNetwork } from './build-container.ts';
import type { AgentContext } from './context.ts';
import { readLocalContainer, writeRole } from './files.ts';
import { imageDirOf, workDirOf } from './local-handle.ts';
import { mountMigration } from './migration-dir.ts';

/** Room for CRIU's own files beside the pages. */
const metadataBytes = 268_435_456;

/**
 * Makes a node ready to take a container: role written, memory file system for the images, root file system, bundle,
 * network namespace with the container's IP and MAC plugged but held, page server waiting. Nothing here can be seen
 * by the job; discard.ts takes it all back.
 */
export async function prepare(context: AgentContext, order: CommandPayload<'prepare'>): Promise<void> {
  const { config, node } = context;
  const { migration, facts, epoch, source, places, memoryBytes } = order;
  if ((await readLocalContainer(config, facts.id)) !== null) {
    throw new RankshiftError('E_BUSY', `${node} has a container ${facts.id} already`);
  }
  await writeRole(config, {
    role: 'target',
    migration,
    container: facts.id,
    epoch,
    source,
    target: node,
    facts,
    clock: null,
  });
  await breakpoint(config, 'target-preparing');
  await mountMigration(config, migration, memoryBytes + metadataBytes);
  await prepareContainerDir(containerDir(config, facts.id));
  await buildNetwork(context, facts, places, true);
  await buildBundle(context, facts);
  const imageDir = imageDirOf(config, migration);
  context.pageServers.set(migration, startPageServer(config.criuPath, imageDir, workDirOf(config, migration)));
  await breakpoint(config, 'target-prepared');
}
