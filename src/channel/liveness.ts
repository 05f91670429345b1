import { patiently } from '../patience.ts';
export interface LivenessOptions {
  /** Send something after so many milliseconds of silence of ours. @defaultValue 1000 */
  pingMs?: number;
  /** Take the link for cut after so many milliseconds of silence of the peer. @defaultValue 3000 */
  deadMs?: number;
}

interface LivenessActs {
  /** Sends a ping. */
  ping(): void;
  /** The peer was silent for `silentMs`. */
  dead(silentMs: number): void;
}

/**
 * Notices a silently cut link: any byte from the peer counts as a sign of life, and each side sends a ping when it has
 * nothing else to send. TCP itself would notice only after many minutes (tcp(7), tcp_retries2).
 */
export class Liveness {
  readonly #pingMs: number;
  readonly #deadMs: number;
  readonly #tickMs: number;
  readonly #acts: LivenessActs;
  readonly #timer: NodeJS.Timeout;
  #sentAt = performance.now();
  #heardAt = performance.now();
  #tickedAt = performance.now();
  #paused = false;

  constructor(acts: LivenessActs, { pingMs = 1000, deadMs = patiently(3000) }: LivenessOptions = {}) {
    this.#acts = acts;
    this.#pingMs = pingMs;
    this.#deadMs = deadMs;
    this.#tickMs = Math.min(pingMs, deadMs) / 2;
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
  }

  sent(): void {
    this.#sentAt = performance.now();
  }

  heard(): void {
    this.#heardAt = performance.now();
  }

  /** While we ourselves do not read, the peer's silence means nothing. */
  pause(paused: boolean): void {
    this.#paused = paused;
    this.heard();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    // A tick that comes late says that this process was stopped or busy: what the peer sent meanwhile is still unread.
    if (now - this.#tickedAt > this.#tickMs * 3) this.#heardAt = now;
    this.#tickedAt = now;
    const silentMs = now - this.#heardAt;
    if (!this.#paused && silentMs > this.#deadMs) this.#acts.dead(silentMs);
    else if (now - this.#sentAt >= this.#pingMs - this.#tickMs / 2) this.#acts.ping();
  }
}
