import { join } from 'node:path';
import { type Sender, startSender } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import type { AgentContext } from './context.ts';
import { bulkAnswerSchema } from './messages.ts';

/**
 * Connects the stream that takes CRIU's page images of `dir` to the node at `address`, IPv4, as the pages channel says.
 * Copying and sending overlap: what CRIU has written into the memory file system goes at once, and CRIU never waits for
 * the link. @throws RankshiftError as startSender and Channel.next.
 */
export async function connectPages(
  { config }: Pick<AgentContext, 'config'>,
  channel: Channel,
  address: string,
  dir: string,
): Promise<Sender> {
  const { port, key } = await channel.next(bulkAnswerSchema);
  return await startSender({ program: join(config.binDir, 'rankshift-bulk'), address, port, dir, key });
}

/** Page images of CRIU: pages-<id>.img, ids from 1 on in the order in which they are written. */
export const isPageImage = (name: string) => /^pages-\d+\.img$/.test(name);
