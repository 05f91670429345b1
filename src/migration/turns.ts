import type { Plan } from './record.ts';
import { johnsonOrder, type Limits, nextTurns } from './schedule.ts';

/** A move that waits for its turn: to be made ready (its target may not be chosen yet), or to copy. */
export interface WaitingTurn {
  id: string;
  stage: 'ahead' | 'copy';
  source: string;
  target: string;
  copySeconds: number;
  restoreSeconds: number;
  /** In the order of the requests, before what is put in the best order. */
  given: boolean;
  /** Unix time in milliseconds. */
  since: number;
}

export interface HeldTurn {
  id: string;
  stage: 'ahead' | 'copy' | 'restore';
  source: string;
  target: string;
}

/** Who has waited longer goes first, and nobody passes him on what he waits for. */
export const longWaitMs = 120_000;

/**
 * Which moves may go on now. Ahead (preflight, preparation) only the source and the cluster are counted, and requests
 * go in their order; as many are made ready as may copy, so that the link never waits for one.
 */
export function whoseTurn(
  waiting: readonly WaitingTurn[],
  held: readonly HeldTurn[],
  limits: Limits,
  now: number,
): string[] {
  const aheadLimits = { ...limits, in: Number.POSITIVE_INFINITY, link: Number.POSITIVE_INFINITY };
  const ahead = held.filter(({ stage }) => stage === 'ahead').map((one) => ({ ...one, stage: 'copy' as const }));
  const moving = held.flatMap((one) => (one.stage === 'ahead' ? [] : [{ ...one, stage: one.stage }]));
  const old = ({ since }: WaitingTurn) => now - since > longWaitMs;
  return [
    ...nextTurns(byRequest(waiting.filter(({ stage }) => stage === 'ahead')), ahead, aheadLimits),
    ...nextTurns(
      inOrder(
        waiting.filter(({ stage }) => stage === 'copy'),
        old,
      ),
      moving,
      limits,
      old,
    ),
  ].map(({ id }) => id);
}

const byRequest = (moves: readonly WaitingTurn[]) => moves.toSorted((a, b) => Number(a.id) - Number(b.id));

function inOrder(moves: readonly WaitingTurn[], old: (move: WaitingTurn) => boolean): WaitingTurn[] {
  const long = moves.filter(old).toSorted((a, b) => a.since - b.since);
  const rest = byRequest(moves.filter((move) => !old(move)));
  return [...long, ...rest.filter(({ given }) => given), ...johnsonOrder(rest.filter(({ given }) => !given))];
}

/** Where nothing was measured yet. */
const unknownRestoreSeconds = 0.3;

/** What the two stages of a move take, seconds, as its plan has it. */
export function stageSeconds({ predicted, memoryBytes, link }: Pick<Plan, 'predicted' | 'memoryBytes' | 'link'>): {
  copySeconds: number;
  restoreSeconds: number;
} {
  if (predicted !== null) {
    const restoreSeconds = predicted.downtimeMs / 1000;
    return { copySeconds: Math.max(0, predicted.totalMs / 1000 - restoreSeconds), restoreSeconds };
  }
  const copySeconds = link === null || link.bytesPerSecond <= 0 ? 0 : memoryBytes / link.bytesPerSecond;
  return { copySeconds, restoreSeconds: unknownRestoreSeconds };
}
