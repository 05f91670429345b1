import { RankshiftError } from '../errors.ts';

/**
 * Remembers the ids of commands until they expire, so that a recorded command is carried out once. Bounded: where it is
 * full of commands that still live, it refuses further ones rather than forget.
 */
export class ReplayGuard {
  readonly #expiries = new Map<string, number>();
  readonly #limit: number;

  /** @param limit most ids remembered at a time; about 100 bytes each @defaultValue 100000 */
  constructor(limit = 100_000) {
    this.#limit = limit;
  }

  /** Number of ids remembered. */
  get size(): number {
    return this.#expiries.size;
  }

  /**
   * Admits a verified command once.
   * @param now milliseconds since 1970 @defaultValue Date.now()
   * @throws RankshiftError E_NOT_PERMITTED where the id was seen, or where the guard is full.
   */
  admit({ id, expiresAt }: { id: string; expiresAt: number }, now = Date.now()): void {
    if (this.#expiries.has(id)) throw new RankshiftError('E_NOT_PERMITTED', `command refused: ${id} was seen before`);
    if (this.#expiries.size >= this.#limit) this.#forgetExpired(now);
    if (this.#expiries.size >= this.#limit) {
      throw new RankshiftError('E_NOT_PERMITTED', `command refused: ${this.#limit} commands are remembered already`, {
        retryable: true,
      });
    }
    this.#expiries.set(id, expiresAt);
  }

  #forgetExpired(now: number): void {
    for (const [id, expiresAt] of this.#expiries) if (expiresAt <= now) this.#expiries.delete(id);
  }
}
