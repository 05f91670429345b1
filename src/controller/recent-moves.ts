import type { Redis } from 'ioredis';
import { migrationsSince } from '../store/migrations.ts';

/** A record may be written some time after the moment that it carries: so much is read again. */
const overlapMs = 30_000;

interface RecentMove {
  container: string;
  at: number;
  by: string;
}

/** Moves of the last time, by whomever: each record is read about once, however many there are. */
export class RecentMoves {
  readonly #moves = new Map<string, RecentMove>();
  #readUntil = Number.NEGATIVE_INFINITY;

  /** Reads what is new. @param spanMs how far back is asked for, at most. */
  async read(redis: Redis, now: number, spanMs: number): Promise<void> {
    const from = Math.max(now - spanMs, this.#readUntil - overlapMs);
    for await (const { id, container, createdAt, requestedBy } of migrationsSince(redis, from))
      this.#moves.set(id, { container, at: createdAt, by: requestedBy.name });
    for (const [id, { at }] of this.#moves) if (at < now - spanMs) this.#moves.delete(id);
    this.#readUntil = now;
  }

  /** When each container's last move was asked for, Unix ms. */
  lastOfEach(): Map<string, number> {
    const last = new Map<string, number>();
    for (const { container, at } of this.#moves.values())
      last.set(container, Math.max(at, last.get(container) ?? Number.NEGATIVE_INFINITY));
    return last;
  }

  /** When somebody's moves were asked for, Unix ms. */
  by(name: string): number[] {
    return [...this.#moves.values()].filter((move) => move.by === name).map(({ at }) => at);
  }
}
