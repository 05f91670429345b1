import type { Channel } from '../channel/channel.ts';
import { RankshiftError } from '../errors.ts';
import { type ToSource, type ToTarget, toSourceSchema } from './messages.ts';

/** How long a silent target may take for one step before the link is asked for by its own keep-alive. */
const longestStepMs = 900_000;

/**
 * The source's end of a switch's control channel. `failed` rejects as soon as the target refuses or the link is gone,
 * so that every step of the source can be raced against it.
 */
export class ControlLink {
  readonly #channel: Channel;
  readonly failed: Promise<never>;
  readonly committed: Promise<void>;
  readonly running: Promise<Extract<ToSource, { op: 'running' }>>;
  /** True once the target said that it will never commit. */
  refused = false;
  /** Every step that is under way or begun later fails with this. */
  readonly giveUp: (error: RankshiftError) => void;
  #gaveUp: unknown = null;

  constructor(channel: Channel) {
    this.#channel = channel;
    const committed = Promise.withResolvers<void>();
    const running = Promise.withResolvers<Extract<ToSource, { op: 'running' }>>();
    const failed = Promise.withResolvers<never>();
    for (const { promise } of [committed, running, failed]) promise.catch(() => undefined);
    this.committed = committed.promise;
    this.running = running.promise;
    this.failed = failed.promise;
    const receive = async () => {
      for (;;) {
        const message = await channel.next(toSourceSchema, { timeoutMs: longestStepMs });
        if (message.op === 'committed') committed.resolve();
        if (message.op === 'running') {
          running.resolve(message);
          return;
        }
        if (message.op === 'refused') {
          this.refused = true;
          throw RankshiftError.from(message.error);
        }
      }
    };
    receive().catch((error: unknown) => {
      this.#gaveUp ??= error;
      failed.reject(error);
      committed.reject(error);
      running.reject(error);
    });
    // What the target says of its end is still heard: it may have committed.
    this.giveUp = (error) => {
      this.#gaveUp ??= error;
      failed.reject(error);
      committed.reject(error);
    };
  }

  /** @throws what it failed with. */
  check(): void {
    if (this.#gaveUp !== null) throw this.#gaveUp;
  }

  send(message: ToTarget): Promise<void> {
    return this.#channel.send(message);
  }

  /** Does a step of the source, given up when the target fails or the move is called off meanwhile. */
  race<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined);
    return Promise.race([work, this.failed]);
  }
}
