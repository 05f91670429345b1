import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { RankshiftError } from '../errors.ts';
import { keyPrefix, script } from './connection.ts';

const key = (name: string) => `${keyPrefix}:lease:${name}`;

/** Takes or renews a lease for `holder`; false where somebody else holds it. */
export async function renewLease(redis: Redis, name: string, holder: string, ms: number): Promise<boolean> {
  return (await script(redis, 'renewLease', key(name), holder, ms)) === 1;
}

export async function dropLease(redis: Redis, name: string, holder: string): Promise<void> {
  await script(redis, 'dropLease', key(name), holder);
}

/**
 * A lease that is renewed until it is given back. Whoever was stopped for longer than it lasts (a machine that stood still,
 * a Redis that was away) may find that another has had it meanwhile: what he read before is old, and what he is about to do
 * may be done already. So he asks `confirm` before each act that must not be done by two.
 */
export class HeldLease {
  readonly #redis: Redis;
  readonly #name: string;
  readonly #ms: number;
  readonly #holder: string;
  readonly #timer: NodeJS.Timeout;
  #lost = false;
  #asking = false;

  private constructor(redis: Redis, name: string, ms: number, holder: string) {
    this.#redis = redis;
    this.#name = name;
    this.#ms = ms;
    this.#holder = holder;
    this.#timer = setInterval(() => void this.#renew(), ms / 3);
  }

  /** Null where somebody else holds it. @param ms how long it lasts where its holder is not heard of */
  static async take(redis: Redis, name: string, ms: number): Promise<HeldLease | null> {
    const holder = randomUUID();
    return (await renewLease(redis, name, holder, ms)) ? new HeldLease(redis, name, ms, holder) : null;
  }

  /** @throws RankshiftError E_STALE where it was lost: begin anew with another, from the records. */
  async confirm(): Promise<void> {
    if (!this.#lost && (await script(this.#redis, 'keepLease', key(this.#name), this.#holder, this.#ms)) === 1) return;
    throw this.#gone();
  }

  /**
   * Writes a field of a hash, or removes it, only while the lease is held: in one step, so that nobody comes between.
   * @throws RankshiftError E_STALE
   */
  async write(hash: string, field: string, text: string | null): Promise<void> {
    const lease = key(this.#name);
    if ((await script(this.#redis, 'writeHeld', lease, hash, this.#holder, field, text ?? '')) !== 1)
      throw this.#gone();
  }

  async drop(): Promise<void> {
    clearInterval(this.#timer);
    await dropLease(this.#redis, this.#name, this.#holder).catch(() => undefined);
  }

  #gone(): RankshiftError {
    this.#lost = true;
    clearInterval(this.#timer);
    return new RankshiftError('E_STALE', `the lease ${this.#name} ran out, and another may have had it`, {
      retryable: true,
      action: 'Nothing: it is begun anew.',
    });
  }

  async #renew(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    // Where it was lost, the next `confirm` says so; where Redis is away, nobody else can take it either.
    await this.confirm().catch(() => undefined);
    this.#asking = false;
  }
}
