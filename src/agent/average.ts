/** A value of so long ago counts a third of one of now. */
const defaultMs = 8000;

/** An average in which what is older counts less, whatever the times between the values. Milliseconds. */
export class Average {
  readonly #spanMs: number;
  #value: number | null = null;
  #at = 0;

  constructor(spanMs = defaultMs) {
    this.#spanMs = spanMs;
  }

  add(value: number, at: number): number {
    const weight = this.#value === null ? 1 : 1 - Math.exp(-(at - this.#at) / this.#spanMs);
    this.#value = (this.#value ?? 0) * (1 - weight) + value * weight;
    this.#at = at;
    return this.#value;
  }
}

/** The average rate of a counter of microseconds, per microsecond; 0 at the first look. */
export class Rate {
  readonly #average: Average;
  #last: { us: number; at: number } | null = null;

  constructor(spanMs = defaultMs) {
    this.#average = new Average(spanMs);
  }

  add(us: number, at: number): number {
    const last = this.#last;
    this.#last = { us, at };
    if (last === null || at <= last.at) return 0;
    // A counter that begins anew: the container was restored, its cgroup is another one.
    return this.#average.add(Math.max(0, us - last.us) / 1000 / (at - last.at), at);
  }
}
