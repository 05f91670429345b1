import { join } from 'node:path';
import type { Sender } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import { PageSource, type Tell } from '../pages/page-source.ts';
import type { AgentContext } from './context.ts';
import type { RoundSource } from './copy-rounds.ts';
import { CriuRounds, connectImages } from './criu-rounds.ts';
import { type LocalHandle, pagesProgramOf } from './local-handle.ts';
import { bulkAnswerSchema, reservedSchema } from './messages.ts';

const pageBytes = 4096;
/** Zeroing a TiB takes minutes. */
const reserveMs = 600_000;
const lookMs = 500;

/** Bytes of pages, and what they took of the wire where that was counted. */
export interface SentPages {
  bytes: number;
  wireBytes: number | null;
}

/** How a container's memory leaves its source. */
export interface MemoryStream {
  /** What makes rounds while the ranks run; null where this way has none. */
  rounds: RoundSource | null;
  /** Of the frozen container: all that is missing goes; resolves with the bytes. `dumped` is CRIU's end. */
  finish(dumped: Promise<void>, tell: Tell): Promise<SentPages>;
  /** Instead: all but the pages is told, and those follow; resolves with what was sent and what is left, bytes. */
  leave(): Promise<{ bytes: number; leftBytes: number }>;
  /** Directory that CRIU's dump goes on from, relative to its own; null where it writes all. */
  parent(): string | null;
  /** Before the freeze, while the ranks run: the target makes room for what is to come. */
  reserve(): Promise<void>;
  /** Calls it off, or ends it. Resolves when nothing of it touches the container any more. */
  end(): Promise<void>;
}

/**
 * Connects the stream that takes a container's memory to its target, as the pages channel says where.
 * @throws RankshiftError as Channel.next, and E_LINK.
 */
export async function connectMemory(
  context: AgentContext,
  channel: Channel,
  order: SwitchOrder,
  handle: LocalHandle,
): Promise<MemoryStream> {
  const { config } = context;
  if (order.lazy) {
    const { port, key } = await channel.next(bulkAnswerSchema);
    const { address } = order.target;
    const source = await PageSource.start({
      pages: pagesProgramOf(config),
      address,
      port,
      key,
      cgroup: handle.cgroup,
      wire: order.wire,
    });
    const { nodeBandwidth, freezeLimited, runDir } = config;
    if (nodeBandwidth !== null) await source.limitNode(nodeBandwidth, join(runDir, 'node-bandwidth'));
    const finish: MemoryStream['finish'] = (_dumped, tell) =>
      source.final(freezeLimited ? (order.bandwidth ?? 0) : null, tell);
    const reserve = async () => {
      await source.reserve();
      await channel.next(reservedSchema, { timeoutMs: reserveMs });
    };
    const leave = async () => {
      const { bytes, leftPages } = await source.leave(order.bandwidth ?? undefined);
      return { bytes, leftBytes: leftPages * pageBytes };
    };
    return { rounds: source, reserve, finish, leave, parent: () => null, end: async () => source.end() };
  }
  return imagesStream(context, channel, order, handle);
}

/** Memory as CRIU's page images: rounds are chained directories, where rounds were asked for. */
function imagesStream(context: AgentContext, channel: Channel, order: SwitchOrder, handle: LocalHandle): MemoryStream {
  const rounds = order.strategy === 'pre-copy' ? new CriuRounds(context, channel, order, handle) : null;
  let sender: Sender | null = null;
  // Connected when the rounds are over: a stream that is silent for long is taken for dead.
  const reserve = async () => {
    sender = await connectImages(context, channel, order, handle.imageDir(order.migration), null);
  };
  // Copying and sending overlap: what CRIU has written into the memory file system goes at once.
  const finish: MemoryStream['finish'] = async (dumped, tell) => {
    if (sender === null) throw new Error('no stream was made for the freeze');
    const { sentBytes, failed } = sender;
    const timer = setInterval(() => tell({ sentBytes: sentBytes(), wireBytes: 0 }), lookMs);
    try {
      await Promise.race([dumped, failed]);
      return { bytes: await sender.finish(), wireBytes: null };
    } finally {
      clearInterval(timer);
    }
  };
  const leave = () => Promise.reject(new Error('page images cannot be left behind'));
  const end = async () => {
    sender?.drop();
    await rounds?.end();
  };
  return { rounds, reserve, finish, leave, parent: () => rounds?.parent ?? null, end };
}
