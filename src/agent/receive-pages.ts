import { newBulkKey } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import { startPageStore } from '../pages/page-store.ts';
import type { AgentContext } from './context.ts';
import type { Role } from './files.ts';
import { imageDirOf, pagesProgramOf, storeDirOf } from './local-handle.ts';
import { lost, receiveChain } from './receive-chain.ts';

/**
 * Takes the memory of a container from the node at `source`, IPv4, as CRIU's page images or as pages by address, over a
 * stream of its own whose key this channel carries. Ends when all is there.
 * @throws RankshiftError E_TARGET_FULL, and E_LINK where stream or channel break.
 */
export async function receivePages(
  context: AgentContext,
  channel: Channel,
  source: string,
  { migration, lazy }: Pick<Role, 'migration' | 'lazy'>,
): Promise<void> {
  if (!lazy) return await receiveChain(context, channel, source, imageDirOf(context.config, migration));
  const { config, address } = context;
  const key = newBulkKey();
  const taking = await startPageStore({
    ...{ address, ports: config.pagesPorts, source, key },
    ...{ pages: pagesProgramOf(config), dir: storeDirOf(config, migration) },
  });
  try {
    await channel.send({ op: 'bulk', port: taking.port, key });
    void taking.reserved.then(() => channel.send({ op: 'reserved' })).catch(() => undefined);
    await Promise.race([taking.done, lost(channel)]);
  } finally {
    taking.drop();
  }
}
