/**
 * The iteration model of a pre-copy move. Symbols as in the equations below:
 * V memory, D bytes written per second, R throughput, t the time that a round costs besides its bytes (round trip and
 * fixed cost), lambda = D / R. Round 0 sends V(0) = V; while it goes, D (V(0) / R + t) is written anew, and so on:
 *   V(i + 1) = D (V(i) / R + t)
 * which tends to V' = D t / (1 - lambda) where lambda < 1, and grows without end else.
 */
export interface MoveFacts {
  /** V, bytes. */
  memoryBytes: number;
  /** D, bytes per second. Writing the same page twice counts once, so that no rate exceeds memory per interval. */
  dirtyBytesPerSecond: number;
  /** R, bytes per second. */
  bytesPerSecond: number;
  /** In the freeze, where no limit of the rounds holds. @defaultValue R */
  freezeBytesPerSecond?: number;
  /** t, seconds: a round trip and what a round costs without any page. */
  roundSeconds: number;
  /** Of the downtime, what depends neither on memory nor on the link, ms. */
  fixedDowntimeMs: number;
  /** Of that, the time in which pages go beside something that lasts anyway, ms. @defaultValue 0 */
  overlapMs?: number;
}

/** Rounds beyond which nothing is gained in any network that was measured. */
export const mostRounds = 30;
/** A round must shrink what is left to this part of it, or it is the last: it costs more than it gains. */
const worthwhile = 0.8;

export const lambda = ({ dirtyBytesPerSecond, bytesPerSecond }: MoveFacts) => dirtyBytesPerSecond / bytesPerSecond;

/** V' = D t / (1 - lambda): what is left after any number of rounds, bytes; infinite where lambda >= 1. */
export function limitBytes(facts: MoveFacts): number {
  const ratio = lambda(facts);
  return ratio >= 1 ? Number.POSITIVE_INFINITY : (facts.dirtyBytesPerSecond * facts.roundSeconds) / (1 - ratio);
}

/** Iterating gains something: lambda < 1 and V > V'. */
export function converges(facts: MoveFacts): boolean {
  return lambda(facts) < 1 && facts.memoryBytes > limitBytes(facts);
}

/** V(i), bytes: what is left after i rounds. V(i) = V' + lambda^i (V - V'). */
export function leftAfter(facts: MoveFacts, rounds: number): number {
  const limit = limitBytes(facts);
  if (!Number.isFinite(limit)) {
    let left = facts.memoryBytes;
    for (let i = 0; i < rounds; i++) {
      left = Math.min(
        facts.memoryBytes,
        facts.dirtyBytesPerSecond * (left / facts.bytesPerSecond + facts.roundSeconds),
      );
    }
    return left;
  }
  return Math.min(facts.memoryBytes, limit + lambda(facts) ** rounds * (facts.memoryBytes - limit));
}

/**
 * Rounds until at most `wanted` bytes are left: ceil(ln((V* - V') / (V - V')) / ln lambda); null where that is never,
 * because V* <= V'.
 */
export function roundsFor(facts: MoveFacts, wanted: number): number | null {
  const limit = limitBytes(facts);
  if (facts.memoryBytes <= wanted) return 0;
  if (!converges(facts) || wanted <= limit) return null;
  const ratio = lambda(facts);
  // Nothing is written: one round, and nothing is left.
  if (ratio === 0) return 1;
  return Math.ceil(Math.log((wanted - limit) / (facts.memoryBytes - limit)) / Math.log(ratio));
}

/**
 * Rounds that are worth it: as long as each shrinks what is left to less than four fifths, and it is more than a round
 * costs by itself. 0 where iterating gains nothing.
 */
export function roundsWorthIt(facts: MoveFacts): number {
  if (!converges(facts)) return 0;
  let rounds = 0;
  let left = facts.memoryBytes;
  while (rounds < mostRounds && left > facts.bytesPerSecond * facts.roundSeconds) {
    const next = leftAfter(facts, rounds + 1);
    if (next > worthwhile * left) break;
    left = next;
    rounds++;
  }
  return rounds;
}

export interface Prediction {
  rounds: number;
  /** Bytes left for the freeze. */
  leftBytes: number;
  downtimeMs: number;
  /** Rounds and downtime. */
  totalMs: number;
}

/** What a move with so many rounds costs. Downtime = fixed + max(0, V(n) / R - overlap) + t. */
export function predict(facts: MoveFacts, rounds: number): Prediction {
  const leftBytes = leftAfter(facts, rounds);
  let copySeconds = 0;
  for (let i = 0; i < rounds; i++) copySeconds += leftAfter(facts, i) / facts.bytesPerSecond + facts.roundSeconds;
  const rate = facts.freezeBytesPerSecond ?? facts.bytesPerSecond;
  const pagesMs = Math.max(0, (leftBytes / rate) * 1000 - (facts.overlapMs ?? 0));
  const downtimeMs = facts.fixedDowntimeMs + pagesMs + facts.roundSeconds * 1000;
  return { rounds, leftBytes, downtimeMs, totalMs: copySeconds * 1000 + downtimeMs };
}

/** A round that was made: bytes sent and milliseconds taken. */
export interface RoundMade {
  bytes: number;
  ms: number;
}

/**
 * Whether another round is worth it after those that were made, by what they measured; else why not. `enoughBytes`: where
 * no more than that is left the freeze is short enough.
 */
export function nextRound(
  made: readonly RoundMade[],
  { enoughBytes, roundSeconds }: { enoughBytes: number; roundSeconds: number },
): { go: true } | { go: false; why: string } {
  const [before, last] = [made.at(-2), made.at(-1)];
  if (last === undefined) return { go: true };
  if (made.length >= mostRounds) return { go: false, why: `${mostRounds} rounds were made` };
  // What a round sends is what was written while the one before went; what is left now was written while it went itself.
  if (before === undefined) return { go: true };
  const left = (last.bytes / before.ms) * last.ms;
  if (left <= enoughBytes) return { go: false, why: 'what is left goes within the downtime wanted' };
  if (last.ms <= roundSeconds * 1000) return { go: false, why: 'a round costs more than its bytes' };
  if (last.bytes > worthwhile * before.bytes) return { go: false, why: 'the ranks write as fast as rounds can send' };
  return { go: true };
}

/** What a freeze may take for the last bytes before a hybrid rather leaves them behind, ms. */
export const worthFreezingMs = 50;

/**
 * Whether what the ranks wrote since the last round goes within the freeze. What a hybrid leaves behind costs waiting for
 * each page, and the source must live until it is gone: not for little.
 */
export function fitsIntoFreeze({
  rounds,
  bytesPerSecond,
  dirtyBytesPerSecond,
}: {
  rounds: readonly RoundMade[];
  bytesPerSecond: number | null;
  dirtyBytesPerSecond: number | null;
}): boolean {
  const last = rounds.at(-1);
  if (last === undefined || bytesPerSecond === null || dirtyBytesPerSecond === null) return false;
  const leftBytes = (dirtyBytesPerSecond * last.ms) / 1000;
  return (leftBytes / bytesPerSecond) * 1000 <= worthFreezingMs;
}
