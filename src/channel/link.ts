import type { TLSSocket } from 'node:tls';
import { RankshiftError } from '../errors.ts';
import { controllerName } from './credentials.ts';
import { encodeFrame, FrameParser, type FrameType, frameType } from './frame.ts';
import { Inbox } from './inbox.ts';
import { Liveness, type LivenessOptions } from './liveness.ts';

/** How long a link that is closed here goes on reading, so that the peer gets our last frames and not a reset. */
const lingerMs = 2000;

/** What a socket says where the process at its other end is gone. */
const endedThere = /ECONNRESET|EPIPE|socket hang up/;
const lost = 'the connection was lost';

/** The socket of a channel with its frames, its signs of life and its end. */
export class Link {
  readonly peer: string;
  readonly inbox: Inbox;
  /** Resolves once the socket is closed: with undefined in order, else with the reason. */
  readonly closed: Promise<RankshiftError | undefined>;
  /** Resolves with the bytes after the peer's raw frame; rejects when the link is lost first. */
  readonly rawFromPeer: Promise<Buffer>;
  readonly socket: TLSSocket;
  readonly #liveness: Liveness;
  readonly #raw = Promise.withResolvers<Buffer>();
  #drained: PromiseWithResolvers<void> | undefined;
  #failure: RankshiftError | undefined;
  #closing = false;
  #framed = true;

  constructor(socket: TLSSocket, peer: string, options: LivenessOptions) {
    this.socket = socket;
    // What is relayed in raw mode ends one half at a time.
    socket.allowHalfOpen = true;
    this.peer = peer;
    this.rawFromPeer = this.#raw.promise;
    this.rawFromPeer.catch(() => undefined);
    this.inbox = new Inbox((full) => this.#hold(full));
    this.#liveness = new Liveness(
      {
        ping: () => this.#ping(),
        dead: (silentMs) => this.destroy(this.#gone(`no sign of life for ${Math.round(silentMs)} ms`)),
      },
      options,
    );
    this.closed = this.#watch();
    this.#readFrames();
  }

  /**
   * Writes the parts of one frame; resolves when the next may be written.
   * @throws RankshiftError E_LINK once the link is lost or closed.
   */
  async write(...parts: Uint8Array[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.ended) throw this.error('the channel is closed');
    this.socket.cork();
    for (const part of parts) this.socket.write(part);
    this.socket.uncork();
    this.#liveness.sent();
    if (!this.socket.writableNeedDrain) return;
    this.#drained ??= Promise.withResolvers();
    await this.#drained.promise;
  }

  /** True once nothing can be written any more. */
  get ended(): boolean {
    return this.#failure !== undefined || this.#closing || !this.socket.writable;
  }

  /** An E_LINK error that names the peer. */
  error(message: string, cause?: unknown): RankshiftError {
    return new RankshiftError('E_LINK', `channel to ${this.peer}: ${message}`, { retryable: true, cause });
  }

  /** The peer's end of the connection is no more, or says nothing: mostly it is its process that ended. */
  #gone(message: string, cause?: unknown): RankshiftError {
    const { peer } = this;
    const [who, unit] = peer === controllerName ? [peer, peer] : [`agent on ${peer}`, 'agent'];
    const action = `Check the ${who} (systemctl status rankshift-${unit}), then the network to it.`;
    const text = `channel to ${peer}: ${message}; the ${who} does not answer any more`;
    return new RankshiftError('E_LINK', text, { retryable: true, cause, action });
  }

  /** Says that no further frames of ours follow. */
  async leaveFrames(): Promise<void> {
    this.#liveness.stop();
    await this.write(encodeFrame(frameType.raw));
  }

  /** Closes after everything that was written; what arrives meanwhile is dropped. */
  async close(reason?: RankshiftError): Promise<void> {
    if (!this.#closing && !this.socket.destroyed) {
      this.#failure ??= reason;
      if (this.#framed && this.socket.writable) this.socket.write(encodeFrame(frameType.close));
      this.#finish();
    }
    await this.closed;
  }

  /** Closes at once. */
  destroy(reason?: RankshiftError): void {
    this.#failure ??= reason ?? this.error('it was closed here');
    this.socket.destroy();
  }

  #finish(): void {
    this.#closing = true;
    this.socket.end();
    this.socket.resume();
    const timer = setTimeout(() => this.socket.destroy(), lingerMs);
    void this.closed.then(() => clearTimeout(timer));
  }

  #readFrames(): void {
    const parser = new FrameParser({
      frame: (type, payload) => this.#frame(type, payload),
      slice: (payload) => this.inbox.push({ kind: 'bytes', payload }),
    });
    const data = (chunk: Buffer): void => {
      this.#liveness.heard();
      if (this.#closing) return;
      try {
        const rest = parser.push(chunk);
        if (rest !== undefined) leave(rest);
      } catch (cause) {
        this.destroy(this.error((cause as Error).message, cause));
      }
    };
    const leave = (rest: Buffer): void => {
      this.#framed = false;
      this.#liveness.stop();
      this.socket.off('data', data).pause();
      this.#raw.resolve(rest);
    };
    this.socket.on('data', data);
    this.socket.on('end', () => this.#framed && this.socket.end());
  }

  #frame(type: FrameType, payload: Buffer): void {
    if (type === frameType.json) this.inbox.push({ kind: 'message', payload });
    else if (type === frameType.end) this.inbox.push({ kind: 'end', payload });
    else if (type === frameType.error) {
      const error = RankshiftError.from(JSON.parse(payload.toString()));
      this.inbox.push({ kind: 'error', payload, error });
    } else if (type === frameType.close) this.#finish();
  }

  #hold(full: boolean): void {
    if (!this.#framed || this.#closing) return;
    this.#liveness.pause(full);
    if (full) this.socket.pause();
    else this.socket.resume();
  }

  #ping(): void {
    const quiet = this.socket.writable && this.socket.writableLength === 0 && !this.#closing;
    if (quiet) this.write(encodeFrame(frameType.ping)).catch(() => undefined);
  }

  #watch(): Promise<RankshiftError | undefined> {
    this.socket.on('drain', () => {
      this.#drained?.resolve();
      this.#drained = undefined;
    });
    this.socket.on('error', (cause) => {
      this.#failure ??= endedThere.test(cause.message) ? this.#gone(lost, cause) : this.error(cause.message, cause);
    });
    return new Promise((resolve) => {
      this.socket.on('close', () => {
        this.#liveness.stop();
        const inOrder = this.#closing || !this.#framed;
        this.#failure ??= inOrder ? undefined : this.#gone(lost);
        const failure = this.#failure ?? this.error('the channel is closed');
        this.inbox.fail(failure);
        this.#drained?.promise.catch(() => undefined);
        this.#drained?.reject(failure);
        this.#raw.reject(failure);
        resolve(this.#failure);
      });
    });
  }
}
