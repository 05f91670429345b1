import type { Limits } from '../../src/migration/schedule.ts';

const kept = 20;

/**
 * What the nodes of a fleet have under way, counted by themselves at each instant, and held against the limits that the
 * controller was given. A move counts out of its source and on its link while it copies, into its target until that has
 * cleared up; one that is made ready counts at its source.
 */
export class LimitsCheck {
  readonly #limits: Limits;
  readonly #counts = new Map<string, number>();
  readonly #copying = new Map<string, { source: string; target: string }>();
  readonly #into = new Map<string, string>();
  readonly over: string[] = [];
  overCount = 0;
  mostOut = 0;
  mostIn = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  readied(source: string, by: 1 | -1): void {
    this.#count(`made ready on ${source}`, by, this.#limits.out);
  }

  copies(migration: string, source: string, target: string): void {
    const { out, in: into, link, cluster } = this.#limits;
    if (!this.#copying.has(migration)) {
      this.#copying.set(migration, { source, target });
      this.mostOut = Math.max(this.mostOut, this.#count(`out of ${source}`, 1, out));
      this.#count(`from ${source} to ${target}`, 1, link);
    }
    if (this.#into.has(migration)) return;
    this.#into.set(migration, target);
    this.mostIn = Math.max(this.mostIn, this.#count(`into ${target}`, 1, into));
    this.#count('in all', 1, cluster);
  }

  copied(migration: string): void {
    const copying = this.#copying.get(migration);
    if (copying === undefined) return;
    this.#copying.delete(migration);
    this.#count(`out of ${copying.source}`, -1);
    this.#count(`from ${copying.source} to ${copying.target}`, -1);
  }

  /** The target has cleared up, or nothing comes to it any more. */
  ended(migration: string): void {
    this.copied(migration);
    const target = this.#into.get(migration);
    if (target === undefined) return;
    this.#into.delete(migration);
    this.#count(`into ${target}`, -1);
    this.#count('in all', -1);
  }

  #count(what: string, by: 1 | -1, most: number = Number.POSITIVE_INFINITY): number {
    const now = (this.#counts.get(what) ?? 0) + by;
    if (now === 0) this.#counts.delete(what);
    else this.#counts.set(what, now);
    if (by > 0 && now > most) {
      this.overCount++;
      if (this.over.length < kept) this.over.push(`${now} moves ${what}, of ${most}`);
    }
    return now;
  }
}
