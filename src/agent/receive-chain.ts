import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { newBulkKey, startReceiver } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import { roundName } from '../checkpoint/pre-dump.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentContext } from './context.ts';
import { bulkProgramOf } from './local-handle.ts';
import { imagesSchema, takeSchema } from './messages.ts';
import { receiveImages } from './receive-images.ts';

/** Of a whole move. */
const longestMs = 24 * 3_600_000;
const metadataMs = 60_000;

/**
 * Takes CRIU's images of a container from the node at `source`, IPv4: rounds, each into a directory of its own, and then
 * what is written in the freeze. CRIU goes from one directory to the one before by its link `parent`.
 * @throws RankshiftError E_TARGET_FULL, and E_LINK where stream or channel break.
 */
export async function receiveChain(
  context: AgentContext,
  channel: Channel,
  source: string,
  imageDir: string,
): Promise<void> {
  for (let made = 0; ; made++) {
    const { round } = await channel.next(takeSchema, { timeoutMs: longestMs });
    if (round === null) return await takePages(context, channel, source, imageDir);
    if (round !== made + 1) throw new RankshiftError('E_LINK', `round ${round} came where ${made + 1} was due`);
    const dir = join(imageDir, roundName(round));
    await mkdir(dir, { mode: 0o700 });
    await takePages(context, channel, source, dir);
    const { files } = await channel.next(imagesSchema, { timeoutMs: metadataMs });
    await receiveImages(channel, dir, files);
    if (made > 0) await symlink(join('..', roundName(made)), join(dir, 'parent'));
    await rm(join(imageDir, 'parent'), { force: true });
    await symlink(roundName(round), join(imageDir, 'parent'));
    await channel.send({ op: 'done' });
  }
}

/** Page images, over a stream of its own whose key the channel carries. */
async function takePages(
  { config, address }: AgentContext,
  channel: Channel,
  source: string,
  dir: string,
): Promise<void> {
  const key = newBulkKey();
  const program = bulkProgramOf(config);
  const receiver = await startReceiver({ program, address, ports: config.pagesPorts, source, key, dir });
  try {
    await channel.send({ op: 'bulk', port: receiver.port, key });
    await Promise.race([receiver.done, lost(channel)]);
  } finally {
    receiver.drop();
  }
}

/** Rejects when the channel is closed, for whatever reason. */
export async function lost(channel: Channel): Promise<never> {
  throw (await channel.closed) ?? new RankshiftError('E_LINK', `${channel.peer} called the page stream off`);
}
