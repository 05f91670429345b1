import type { Duplex, Writable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { encodeEnd, encodeFrame, encodeHeader, frameType, largestFrameBytes } from './frame.ts';
import { cancelled, type Item, type WaitOptions } from './inbox.ts';
import { Link } from './link.ts';
import type { LivenessOptions } from './liveness.ts';
import { receiveBulk } from './receive-bulk.ts';

export interface BulkOptions {
  /** Aborting closes the channel: the rest of the bytes would be in the way of everything after. */
  signal?: AbortSignal | undefined;
}

/**
 * One conversation between two nodes over TLS 1.3. Messages and bulk transfers follow one another in order; for two
 * transfers at a time open two channels. TLS protects every byte against change, loss and reordering (RFC 8446, 5.2),
 * so there is no further checksum; bulk transfers are counted.
 * Everything rejects with E_LINK once the link is lost.
 */
export class Channel {
  readonly #link: Link;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(socket: TLSSocket, peer: string, options: LivenessOptions = {}) {
    this.#link = new Link(socket, peer, options);
  }

  /** Name of the node at the other end, as its certificate says. */
  get peer(): string {
    return this.#link.peer;
  }

  /** Resolves when the channel is closed: with undefined in order, else with what happened. Never rejects. */
  get closed(): Promise<RankshiftError | undefined> {
    return this.#link.closed;
  }

  /** Sends one value as JSON, at most 1 MiB. Resolves when the next may be sent. */
  async send(value: unknown): Promise<void> {
    const payload = Buffer.from(JSON.stringify(value));
    if (payload.length > largestFrameBytes) {
      throw new RankshiftError('E_INTERNAL', `a message of ${payload.length} bytes is too long for a channel`);
    }
    await this.#link.write(encodeFrame(frameType.json, payload));
  }

  /** Tells the peer that what it asked failed; its `next`, `request` or `pipeOut` throws this error. */
  async sendError(error: unknown): Promise<void> {
    await this.#link.write(encodeFrame(frameType.error, Buffer.from(JSON.stringify(RankshiftError.from(error)))));
  }

  /**
   * The next message.
   * @throws RankshiftError what the peer sent with sendError; E_TIMEOUT; E_CANCELLED; E_LINK, also where the message has
   * another shape.
   */
  async next<T>(schema: z.ZodType<T>, { timeoutMs = 30_000, signal }: WaitOptions = {}): Promise<T> {
    return this.#message(await this.#link.inbox.take({ timeoutMs, signal }), schema);
  }

  /**
   * Sends a value and waits for the answer; requests take turns. A request that gets no answer in time closes the
   * channel, since a late answer would be taken for the next one's.
   * @throws as `next`.
   */
  request<T>(value: unknown, schema: z.ZodType<T>, { timeoutMs = 30_000, signal }: WaitOptions = {}): Promise<T> {
    const turn = this.#turn.then(async () => {
      await this.send(value);
      const item = await this.#link.inbox.take({ timeoutMs, signal }).catch((error: RankshiftError) => {
        this.#link.destroy(error);
        throw error;
      });
      return this.#message(item, schema);
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Sends bulk bytes in frames of at most 1 MiB. The buffer must not change until it was sent: never reuse it. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += largestFrameBytes) {
      const part = bytes.subarray(at, at + largestFrameBytes);
      await this.#link.write(encodeHeader(frameType.bytes, part.length), part);
    }
  }

  /** Ends bulk bytes that were sent with `sendBytes`, with their number; `pipeIn` does it itself. */
  async sendEnd(count: number): Promise<void> {
    await this.#link.write(encodeEnd(count));
  }

  /**
   * Sends a whole stream and its end; resolves with the number of bytes once they are on their way (ask for an answer to
   * know that they arrived). For speed the stream's chunks should have 256 KiB to 1 MiB. Where the stream fails the peer
   * is told and the channel stays usable.
   * @throws RankshiftError what the peer sent with sendError meanwhile; E_LINK. Error: what the stream failed with.
   */
  async pipeIn(readable: AsyncIterable<Uint8Array>, { signal }: BulkOptions = {}): Promise<number> {
    const release = this.#destroyOnAbort(signal);
    let count = 0;
    try {
      for await (const chunk of readable) {
        await this.sendBytes(chunk);
        count += chunk.length;
        if (this.#link.inbox.error !== undefined) break;
      }
    } catch (error) {
      if (this.#link.inbox.error === undefined && !this.#link.ended) await this.sendError(error);
      throw this.#link.inbox.error ?? error;
    } finally {
      release();
    }
    if (this.#link.inbox.error !== undefined) throw this.#link.inbox.error;
    await this.sendEnd(count);
    return count;
  }

  /**
   * Writes the bulk bytes that arrive to a stream up to their end, ends the stream, and resolves with their number once
   * it has taken them all. Where the stream fails (a full disk) the peer is told why and the channel closes.
   * @throws RankshiftError what the peer sent with sendError; E_TARGET_FULL; E_COMMAND where the stream failed otherwise;
   * E_LINK.
   */
  async pipeOut(writable: Writable, { signal }: BulkOptions = {}): Promise<number> {
    const release = this.#destroyOnAbort(signal);
    try {
      return await receiveBulk(this.#link, writable);
    } finally {
      release();
    }
  }

  /**
   * Leaves frames: both ends call it, after what they had to say in frames, and each gets the TLS socket as a plain
   * duplex stream, paused, either half of which can be ended on its own. No signs of life are sent from then on: keep
   * another channel to the same node open, and destroy this stream when that one's `closed` resolves. Do not read it
   * with `for await` while its other half is in use: that destroys the whole stream at the end of what it reads.
   * @throws RankshiftError E_TIMEOUT where the peer does not do the same; E_CANCELLED; E_LINK.
   */
  async raw({ timeoutMs = 10_000, signal }: WaitOptions = {}): Promise<Duplex> {
    const late = new RankshiftError('E_TIMEOUT', `${this.peer} did not leave frames within ${timeoutMs} ms`);
    const timer = setTimeout(() => this.#link.destroy(late), timeoutMs);
    const release = this.#destroyOnAbort(signal);
    try {
      await this.#link.leaveFrames();
      const rest = await this.#link.rawFromPeer;
      if (rest.length > 0) this.#link.socket.unshift(rest);
      return this.#link.socket;
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  /** Closes in order, after everything that was sent; what still arrives is dropped. */
  async close(): Promise<void> {
    await this.#link.close();
  }

  /** Closes at once; both ends see a lost link. */
  destroy(reason?: RankshiftError): void {
    this.#link.destroy(reason);
  }

  #message<T>(item: Item, schema: z.ZodType<T>): T {
    if (item.kind === 'error') throw item.error;
    if (item.kind !== 'message') throw this.#breach(`${item.kind} came where a message was due`);
    const parsed = schema.safeParse(parseJson(item.payload));
    if (parsed.success) return parsed.data;
    throw this.#breach(`a message has another shape: ${z.prettifyError(parsed.error)}`);
  }

  /** The two ends are of different minds about the conversation; nothing after it would make sense. */
  #breach(message: string): RankshiftError {
    const error = this.#link.error(message);
    this.#link.destroy(error);
    return error;
  }

  #destroyOnAbort(signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => undefined;
    const abort = (): void => this.#link.destroy(cancelled(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    return () => signal.removeEventListener('abort', abort);
  }
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
}
