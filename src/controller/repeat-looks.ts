export interface LookPace {
  /** From the end of a look to the next, ms, where looks are quick. */
  leastMs: number;
  /** A look that took n ms is followed by a pause of so many times n at least. */
  pauseFactor: number;
}

/**
 * Looks again and again, one look at a time, until `stopping`. What takes its time is done less often, but for `soon`.
 * @param look says how long it took, ms: not all that is done in it must be looking. It does not throw.
 * @returns soon: what would wait for the next look is there; one comes after `leastMs`, or after the one under way.
 */
export function repeatLooks(
  look: () => Promise<number>,
  { leastMs, pauseFactor }: LookPace,
  stopping: AbortSignal,
): { soon(): void } {
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let wanted = false;
  const later = (ms: number) => {
    clearTimeout(timer);
    if (!stopping.aborted) timer = setTimeout(() => void now(), ms);
  };
  const now = async () => {
    looking = true;
    wanted = false;
    const tookMs = await look();
    looking = false;
    later(wanted ? leastMs : Math.max(leastMs, pauseFactor * tookMs));
  };
  later(leastMs);
  stopping.addEventListener('abort', () => clearTimeout(timer));
  return {
    soon() {
      if (wanted) return;
      wanted = true;
      if (!looking) later(leastMs);
    },
  };
}
