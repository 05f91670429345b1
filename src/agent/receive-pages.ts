import { newBulkKey, startReceiver } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import { RankshiftError } from '../errors.ts';
import { startPageStore } from '../pages/page-store.ts';
import type { AgentContext } from './context.ts';
import type { Role } from './files.ts';
import { bulkProgramOf, imageDirOf, pagesProgramOf, storeDirOf } from './local-handle.ts';

/**
 * Takes the memory of a container from the node at `source`, IPv4, as CRIU's page images or as pages by address, over a
 * stream of its own whose key this channel carries. Ends when all is there.
 * @throws RankshiftError E_TARGET_FULL, and E_LINK where stream or channel break.
 */
export async function receivePages(
  { config, address }: AgentContext,
  channel: Channel,
  source: string,
  { migration, lazy }: Pick<Role, 'migration' | 'lazy'>,
): Promise<void> {
  const key = newBulkKey();
  const options = { address, ports: config.pagesPorts, source, key };
  const bulk = bulkProgramOf(config);
  const taking = lazy
    ? await startPageStore({ ...options, pages: pagesProgramOf(config), dir: storeDirOf(config, migration) })
    : await startReceiver({ ...options, program: bulk, dir: imageDirOf(config, migration) });
  try {
    await channel.send({ op: 'bulk', port: taking.port, key });
    if ('reserved' in taking) {
      void taking.reserved.then(() => channel.send({ op: 'reserved' })).catch(() => undefined);
    }
    await Promise.race([taking.done, lost(channel)]);
  } finally {
    taking.drop();
  }
}

/** Rejects when the channel is closed, for whatever reason. */
async function lost(channel: Channel): Promise<never> {
  throw (await channel.closed) ?? new RankshiftError('E_LINK', `${channel.peer} called the page stream off`);
}
