import { z } from 'zod';
import { senderLine } from '../bulk/bulk.ts';
import { Carrier } from '../bulk/carrier.ts';
import type { Wire } from '../migration/wire.ts';

const armedSchema = z.object({ processes: z.number(), unarmed: z.number(), longestStopUs: z.number() });
const roundSchema = z.object({
  round: z.number(),
  pages: z.number(),
  /** Before any compression, and on the wire. */
  bytes: z.number(),
  wireBytes: z.number(),
  ms: z.number(),
  longestStopUs: z.number().optional(),
});
const leftSchema = roundSchema.extend({ leftPages: z.number() });
export type Left = z.infer<typeof leftSchema>;
/** In the middle of a round. */
const progressSchema = z.strictObject({ sentBytes: z.number(), wireBytes: z.number() });
/** What one round sent, bytes and milliseconds. */
export type Round = z.infer<typeof roundSchema>;
/** How far it is, bytes before and after compression; twice a second. */
export type Tell = (sent: { sentBytes: number; wireBytes: number }) => void;

const shortMs = 60_000;
/** A round over everything, on a slow link. */
const roundMs = 24 * 3_600_000;

export interface PageSourceOptions {
  /** The program rankshift-pages. */
  pages: string;
  /** Where the target takes the stream, and its key. */
  address: string;
  port: number;
  key: string;
  cgroup: string;
  /** @defaultValue one connection, as it is */
  wire?: Wire;
}

/**
 * Sends the memory of a container's processes to a PageStore while they run: `rankshift-pages source` (docs/pages.md).
 * When this process dies the tracker ends by itself, and the ranks are as they were.
 * Every method throws RankshiftError E_LINK where stream or tracker broke.
 */
export class PageSource {
  readonly #carrier: Carrier;

  private constructor(carrier: Carrier) {
    this.#carrier = carrier;
  }

  static async start({ pages, address, port, key, cgroup, wire }: PageSourceOptions): Promise<PageSource> {
    const carrier = new Carrier(pages, ['source', cgroup, address, String(port)], senderLine(key, wire));
    await carrier.line(10_000);
    return new PageSource(carrier);
  }

  /** Begins to notice writes in every process. Each is stopped for a part of a millisecond. */
  arm() {
    return this.#ask('arm', armedSchema, shortMs);
  }

  /** Sends what was written since the last round, or everything, not faster than so many bytes per second. */
  round(bytesPerSecond?: number, tell: Tell = () => undefined): Promise<Round> {
    return this.#ask(
      bytesPerSecond === undefined ? 'round' : `round ${Math.ceil(bytesPerSecond)}`,
      roundSchema,
      roundMs,
      tell,
    );
  }

  /** Tells the target for how much it will need room; it makes it while the ranks run. Before the first round. */
  async reserve(): Promise<void> {
    await this.#ask('reserve', z.object({ processes: z.number() }), shortMs);
  }

  /**
   * Of the frozen container: sends what is missing, and which pages there are. Everything where it was never armed.
   * Limits hold where one is given, 0 being none of this move's own.
   */
  final(bytesPerSecond: number | null = null, tell: Tell = () => undefined): Promise<Round> {
    return this.#ask(
      bytesPerSecond === null ? 'final' : `final ${Math.ceil(bytesPerSecond)}`,
      roundSchema,
      roundMs,
      tell,
    );
  }

  /** Sets the limit that all moves of this node share in rounds; the file is how they do. */
  async limitNode(bytesPerSecond: number, file: string): Promise<void> {
    await this.#ask(`node-limit ${bytesPerSecond} ${file}`, z.object({}), shortMs);
  }

  /**
   * In place of `final`: what is missing goes when the container runs on the target, not faster than so many bytes per
   * second but for what is needed at once. This end then goes on by itself, whatever becomes of this process, until the
   * target has all (page-senders.ts).
   */
  leave(bytesPerSecond?: number): Promise<Left> {
    const command = bytesPerSecond === undefined ? 'leave' : `leave ${Math.ceil(bytesPerSecond)}`;
    return this.#ask(command, leftSchema, shortMs);
  }

  /** Lets go of the container. */
  end(): void {
    this.#carrier.endInput();
  }

  async #ask<T>(command: string, schema: z.ZodType<T>, timeoutMs: number, tell: Tell = () => undefined): Promise<T> {
    this.#carrier.write(`${command}\n`);
    for (;;) {
      const answer: unknown = JSON.parse(await this.#carrier.line(timeoutMs));
      const progress = progressSchema.safeParse(answer);
      if (!progress.success) return schema.parse(answer);
      tell(progress.data);
    }
  }
}
