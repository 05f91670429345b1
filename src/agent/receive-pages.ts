import { join } from 'node:path';
import { newBulkKey, startReceiver } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentContext } from './context.ts';

/** Rejects when the channel is closed, for whatever reason. */
async function lost(channel: Channel): Promise<never> {
  throw (await channel.closed) ?? new RankshiftError('E_LINK', `${channel.peer} called the page stream off`);
}

/**
 * Takes the page images of a dump from the node at `source`, IPv4, over a stream of their own whose key this channel
 * carries. Ends when all are there. @throws RankshiftError E_TARGET_FULL, and E_LINK where stream or channel break.
 */
export async function receivePages(
  { config, address }: Pick<AgentContext, 'config' | 'address'>,
  channel: Channel,
  source: string,
  dir: string,
): Promise<void> {
  const key = newBulkKey();
  const program = join(config.binDir, 'rankshift-bulk');
  const receiver = await startReceiver({ program, address, ports: config.pagesPorts, source, dir, key });
  try {
    await channel.send({ op: 'bulk', port: receiver.port, key });
    await Promise.race([receiver.done, lost(channel)]);
  } finally {
    receiver.drop();
  }
}
