import { startSender } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import { PageSource } from '../pages/page-source.ts';
import type { AgentContext } from './context.ts';
import { bulkProgramOf, type LocalHandle, pagesProgramOf } from './local-handle.ts';
import { bulkAnswerSchema, reservedSchema } from './messages.ts';

/** Zeroing a TiB takes minutes. */
const reserveMs = 600_000;

/** How a container's memory leaves its source. */
export interface MemoryStream {
  /** Present where pages go by address. */
  source: PageSource | null;
  /** Of the frozen container: all that is missing goes; resolves with the bytes. `dumped` is CRIU's end. */
  finish(dumped: Promise<void>): Promise<number>;
  /** While the ranks run: the target makes room for all of it. */
  reserve(): Promise<void>;
  end(): void;
}

/**
 * Connects the stream that takes a container's memory to its target, as the pages channel says where.
 * @throws RankshiftError as Channel.next, and E_LINK.
 */
export async function connectMemory(
  { config }: AgentContext,
  channel: Channel,
  order: SwitchOrder,
  handle: LocalHandle,
): Promise<MemoryStream> {
  const { port, key } = await channel.next(bulkAnswerSchema);
  const { address } = order.target;
  const bulk = bulkProgramOf(config);
  if (order.lazy) {
    const source = await PageSource.start({
      pages: pagesProgramOf(config),
      address,
      port,
      key,
      cgroup: handle.cgroup,
    });
    const reserve = async () => {
      await source.reserve();
      await channel.next(reservedSchema, { timeoutMs: reserveMs });
    };
    return { source, reserve, finish: async () => (await source.final()).bytes, end: () => source.end() };
  }
  // Copying and sending overlap: what CRIU has written into the memory file system goes at once.
  const sender = await startSender({ program: bulk, address, port, key, dir: handle.imageDir(order.migration) });
  const finish = async (dumped: Promise<void>) => {
    await Promise.race([dumped, sender.failed]);
    return await sender.finish();
  };
  const reserve = async () => undefined;
  return { source: null, reserve, finish, end: () => sender.drop() };
}
