import { availableParallelism } from 'node:os';
import pLimit, { type LimitFunction } from 'p-limit';
import type { SwitchOrder } from '../migration/commands.ts';

/** What one copy keeps busy here: what reads and encrypts, the kernel's share of sending, and the ranks go on. */
const processorsPerCopy = 4;
/** So slow a copy would be gone by then; whoever waits for longer goes all the same. */
const slowBytesPerSecond = 125_000_000;
const leastMs = 500;

/** How many containers' memory may leave a node at a time, as many as its processors feed. */
export function copiesAtOnce(processors: number = availableParallelism()): number {
  return Math.max(1, Math.floor(processors / processorsPerCopy));
}

/** For the copies of one node. */
export const bulkTurns = (): LimitFunction => pLimit(copiesAtOnce());

/** The turn of one copy: when it may begin, and what ends it or takes it back; again is nothing. */
export interface BulkTurn {
  ready: Promise<void>;
  end(): void;
}

/**
 * One copy after another where two would only share: the first container is across in half the time, and is restored
 * while the second copies. Those that are slow by wish share, and nobody waits for longer than his own copy may take:
 * one over a slow link does not hold up the others.
 */
export function bulkTurn(
  { copies }: { copies: LimitFunction },
  { bandwidth, memoryBytes }: Pick<SwitchOrder, 'bandwidth' | 'memoryBytes'>,
): BulkTurn {
  if (bandwidth !== null) return { ready: Promise.resolve(), end: () => undefined };
  const [turn, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  void copies(() => {
    turn.resolve();
    return ended.promise;
  });
  const longestMs = Math.max(leastMs, (memoryBytes / slowBytesPerSecond) * 1000);
  const timer = setTimeout(turn.resolve, longestMs);
  void turn.promise.then(() => clearTimeout(timer));
  return {
    ready: turn.promise,
    end: () => {
      turn.resolve();
      ended.resolve();
    },
  };
}
