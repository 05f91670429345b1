import { newBulkKey } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import { cgroupDirectory } from '../container/find-init.ts';
import type { PageServer } from '../pages/page-server.ts';
import { startPageStore } from '../pages/page-store.ts';
import { type PageTaker, startPageTaker } from '../pages/page-taker.ts';
import type { AgentContext } from './context.ts';
import type { Role } from './files.ts';
import { imageDirOf, pagesProgramOf, storeDirOf, workDirOf } from './local-handle.ts';
import { lost, receiveChain } from './receive-chain.ts';

/**
 * Takes the memory of a container from the node at `source`, IPv4, as CRIU's page images or as pages by address, over a
 * stream of its own whose key this channel carries. Ends when all is there; in a post-copy when all is but what was left
 * behind, with what takes that and serves the restore meanwhile.
 * @throws RankshiftError E_TARGET_FULL, and E_LINK where stream or channel break.
 */
export async function receivePages(
  context: AgentContext,
  channel: Channel,
  source: string,
  { migration, lazy, postCopy, facts }: Pick<Role, 'migration' | 'lazy' | 'postCopy' | 'facts'>,
): Promise<PageServer | null> {
  const { config, address } = context;
  if (!lazy) {
    await receiveChain(context, channel, source, imageDirOf(config, migration));
    return null;
  }
  const key = newBulkKey();
  const options = { address, ports: config.pagesPorts, source, key };
  const [pages, store] = [pagesProgramOf(config), storeDirOf(config, migration)];
  if (postCopy) {
    const cgroup = await cgroupDirectory(facts.job, facts.index);
    const workDir = workDirOf(config, migration);
    return await takePages(channel, await startPageTaker({ ...options, pages, store, workDir, cgroup }), key);
  }
  const taking = await startPageStore({ ...options, pages, dir: store });
  try {
    await channel.send({ op: 'bulk', port: taking.port, key });
    tellReserved(channel, taking.reserved);
    await Promise.race([taking.done, lost(channel)]);
    return null;
  } finally {
    taking.drop();
  }
}

async function takePages(channel: Channel, taking: PageTaker, key: string): Promise<PageServer> {
  try {
    await channel.send({ op: 'bulk', port: taking.port, key });
    tellReserved(channel, taking.reserved);
    return await Promise.race([taking.done, lost(channel)]);
  } catch (error) {
    taking.drop();
    throw error;
  }
}

function tellReserved(channel: Channel, reserved: Promise<void>): void {
  void reserved.then(() => channel.send({ op: 'reserved' })).catch(() => undefined);
}
