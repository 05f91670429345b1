import type { CopyResult, Progress } from './record.ts';

/** What can be said of a move from how far it is. Null where nothing was measured to say it from. */
export interface Outlook {
  /** Of the round or the freeze. */
  leftBytes: number | null;
  bytesPerSecond: number | null;
  /** Until the freeze, or of it. */
  leftMs: number | null;
}

/** Less than this says more of buffers than of the link. */
const shortestMs = 300;

/**
 * With L left of this round, R the rate and D what is written: L / R for this round, in which D L / R is written for the
 * next, and so on: L / (R - D) in all. Never where D >= R. While it is frozen nothing is written.
 */
export function outlook({ phase, sentBytes, ofBytes, at, since, ...before }: Progress): Outlook {
  const ms = at - since;
  const bytesPerSecond = ms >= shortestMs && sentBytes > 0 ? (sentBytes / ms) * 1000 : before.bytesPerSecond;
  const leftBytes = ofBytes === null ? null : Math.max(0, ofBytes - sentBytes);
  const written = phase === 'freeze' ? 0 : (before.dirtyBytesPerSecond ?? 0);
  const net = bytesPerSecond === null ? 0 : bytesPerSecond - written;
  return { leftBytes, bytesPerSecond, leftMs: leftBytes === null || net <= 0 ? null : (leftBytes / net) * 1000 };
}

/**
 * What the next round will find, if the ranks write as they did while the last ones went, or as they did before the first;
 * null where that is not known.
 */
export function leftBytes(rounds: CopyResult['rounds'], sampled: number | null): number | null {
  const dirty = dirtyRate(rounds) ?? sampled;
  const last = rounds.at(-1);
  return dirty === null || last === undefined ? null : Math.ceil((dirty * last.ms) / 1000);
}

/** Of the last round: what it sent was written while the one before went. */
export function dirtyRate(rounds: CopyResult['rounds']): number | null {
  const [before, last] = [rounds.at(-2), rounds.at(-1)];
  return before === undefined || last === undefined || before.ms === 0 ? null : (last.bytes / before.ms) * 1000;
}
