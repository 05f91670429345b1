import { mkdir, readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type Sender, startSender } from '../bulk/bulk.ts';
import type { Channel } from '../channel/channel.ts';
import { isPageImage } from '../checkpoint/images/page-image.ts';
import { preDump, roundName } from '../checkpoint/pre-dump.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import type { Tell } from '../pages/page-source.ts';
import { splitHugePages } from '../pages/sample-writes.ts';
import type { AgentContext } from './context.ts';
import type { RoundSource } from './copy-rounds.ts';
import { bulkProgramOf, type LocalHandle, pagesProgramOf } from './local-handle.ts';
import { bulkAnswerSchema, doneSchema } from './messages.ts';
import { sendImages } from './send-images.ts';

const lookMs = 500;
/** The target clears its page cache of nothing and writes into memory; this is for a link that has died. */
const answerMs = 60_000;
/** Of the container's memory, what all rounds together may bring: the target keeps them all until it has restored. */
const chainFactor = 1.5;

/**
 * Asks the target for a stream that takes the page images of a round, or of the freeze (null), and connects it.
 * @throws RankshiftError as Channel.next, and E_LINK.
 */
export async function connectImages(
  { config }: AgentContext,
  channel: Channel,
  order: SwitchOrder,
  dir: string,
  round: number | null,
  bandwidth: number | null = null,
): Promise<Sender> {
  await channel.send({ op: 'take', round });
  const { port, key } = await channel.next(bulkAnswerSchema, { timeoutMs: answerMs });
  const { address } = order.target;
  return await startSender({ program: bulkProgramOf(config), address, port, key, dir, bandwidth, wire: order.wire });
}

/**
 * Rounds by CRIU itself, for kernels that note writes in no other way than soft-dirty: `criu pre-dump` into a chain of
 * directories, each with what was written since the one before (docs/pages.md). The target restores from the chain.
 */
export class CriuRounds implements RoundSource {
  readonly #context: AgentContext;
  readonly #channel: Channel;
  readonly #order: SwitchOrder;
  readonly #handle: LocalHandle;
  #made = 0;
  #bytes = 0;
  #sender: Sender | null = null;
  #dumping: Promise<unknown> = Promise.resolve();

  constructor(context: AgentContext, channel: Channel, order: SwitchOrder, handle: LocalHandle) {
    this.#context = context;
    this.#channel = channel;
    this.#order = order;
    this.#handle = handle;
  }

  /** The directory that the dump in the freeze goes on from; null before the first round. */
  get parent(): string | null {
    return this.#made === 0 ? null : roundName(this.#made);
  }

  /** Writes are noted from the first round on; before it, pages are made as small as they are sent. */
  async arm(): Promise<{ longestStopUs: number }> {
    await splitHugePages(pagesProgramOf(this.#context.config), this.#handle.cgroup);
    return { longestStopUs: 0 };
  }

  full(): string | null {
    return this.#bytes > this.#order.memoryBytes * chainFactor
      ? 'the target keeps all rounds, and these are enough'
      : null;
  }

  async round(bandwidth: number | undefined, tell: Tell) {
    const started = performance.now();
    const { migration } = this.#order;
    const number = this.#made + 1;
    const dir = join(this.#handle.imageDir(migration), roundName(number));
    await mkdir(dir, { mode: 0o700 });
    const sender = await connectImages(this.#context, this.#channel, this.#order, dir, number, bandwidth ?? null);
    this.#sender = sender;
    const timer = setInterval(() => tell({ sentBytes: sender.sentBytes(), wireBytes: 0 }), lookMs);
    try {
      const { nodeProgram, initPid, cgroup, rootfs, externals } = this.#handle;
      const criu = this.#context.config.criuPath;
      const workDir = this.#handle.workDir(migration);
      const dumped = preDump({ criu, nodeProgram, initPid, cgroup, rootfs, externals, imageDir: dir, workDir, number });
      dumped.catch(() => undefined);
      this.#dumping = dumped;
      await Promise.race([dumped, sender.failed]);
      const pages = await sender.finish();
      const metadata = await sendImages(this.#channel, dir, false);
      await this.#channel.next(doneSchema, { timeoutMs: answerMs });
      this.#made = number;
      this.#bytes += pages;
      await forgetPages(dir);
      const { frozenUs } = await dumped;
      return { bytes: pages + metadata, ms: performance.now() - started, longestStopUs: frozenUs };
    } finally {
      clearInterval(timer);
    }
  }

  /** Resolves when no CRIU of ours works on the container any more. It is waited for, never killed. */
  async end(): Promise<void> {
    this.#sender?.drop();
    await this.#dumping.catch(() => undefined);
  }
}

/** What the target has: the next dump wants to know only which pages a round held, not what was in them. */
async function forgetPages(dir: string): Promise<void> {
  const names = (await readdir(dir)).filter(isPageImage);
  await Promise.all(names.map((name) => truncate(join(dir, name), 0)));
}
