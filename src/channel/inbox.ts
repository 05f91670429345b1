import { RankshiftError } from '../errors.ts';

/** What has arrived on a channel, in order. */
export type Item =
  | { kind: 'message' | 'bytes' | 'end'; payload: Buffer }
  | { kind: 'error'; payload: Buffer; error: RankshiftError };

export interface WaitOptions {
  /** Milliseconds until E_TIMEOUT. @defaultValue 30000 */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

interface Waiter {
  resolve(item: Item): void;
  reject(error: RankshiftError): void;
}

/** Beyond this many bytes nothing more is read from the socket until somebody takes items. */
const fullBytes = 1024 * 1024;
/** What an item costs besides its payload. */
const itemBytes = 64;

/** The bounded queue between a channel's socket and whoever reads the channel. */
export class Inbox {
  #items: Item[] = [];
  #waiters = new Set<Waiter>();
  #bytes = 0;
  #full = false;
  #failure: RankshiftError | undefined;
  readonly #onFull: (full: boolean) => void;

  /** @param onFull called with true when the socket has to pause, with false when it may go on */
  constructor(onFull: (full: boolean) => void) {
    this.#onFull = onFull;
  }

  push(item: Item): void {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      waiter.resolve(item);
      return;
    }
    this.#items.push(item);
    this.#count(itemBytes + item.payload.length);
  }

  /** The next item if one is here. */
  takeNow(): Item | undefined {
    const item = this.#items.shift();
    if (item !== undefined) this.#count(-itemBytes - item.payload.length);
    return item;
  }

  /**
   * The next item.
   * @throws RankshiftError E_TIMEOUT, E_CANCELLED, and the channel's failure once nothing is left.
   */
  take({ timeoutMs, signal }: WaitOptions): Promise<Item> {
    const item = this.takeNow();
    if (item !== undefined) return Promise.resolve(item);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (signal?.aborted) return Promise.reject(cancelled(signal));
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const waiter: Waiter = {
        resolve: (arrived) => {
          settle();
          resolve(arrived);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const abort = (): void => waiter.reject(cancelled(signal));
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => waiter.reject(late(timeoutMs)), timeoutMs);
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** The peer's error, if one waits here. */
  get error(): RankshiftError | undefined {
    for (const item of this.#items) if (item.kind === 'error') return item.error;
    return undefined;
  }

  /** Nothing more will come; what is here can still be taken. */
  fail(failure: RankshiftError): void {
    this.#failure ??= failure;
    for (const waiter of this.#waiters) waiter.reject(this.#failure);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    const full = this.#bytes > (this.#full ? fullBytes / 2 : fullBytes);
    if (full === this.#full) return;
    this.#full = full;
    this.#onFull(full);
  }
}

function late(timeoutMs: number): RankshiftError {
  return new RankshiftError('E_TIMEOUT', `no message came within ${timeoutMs} ms`, { retryable: true });
}

/** What an abort signal means to whoever waited. */
export function cancelled(signal: AbortSignal | undefined): RankshiftError {
  if (signal?.reason instanceof RankshiftError) return signal.reason;
  return new RankshiftError('E_CANCELLED', 'the wait was cancelled', { cause: signal?.reason });
}
