/**
 * One look at a time for all who ask for it. What a caller gets was begun after it asked, or ended at most `keepMs` before:
 * many who ask at once cost two looks, not one each. When half of `keepMs` is over, whoever asks has the next look begun
 * without waiting for it.
 * @param keepMs how long the result of a look may serve those who come later, ms.
 * @param clock in milliseconds, for tests.
 */
export function shareLooks<T>(
  look: () => Promise<T>,
  keepMs: (result: T) => number,
  clock: () => number = () => performance.now(),
): () => Promise<T> {
  let now: Promise<T> | null = null;
  /** Begins when the one of now has ended; for all who have asked meanwhile. */
  let next: Promise<T> | null = null;
  let kept: { result: T; at: number; forMs: number } | null = null;
  const begin = (): Promise<T> => {
    const begun = look()
      .then((result) => {
        kept = { result, at: clock(), forMs: keepMs(result) };
        return result;
      })
      .finally(() => {
        if (now === begun) now = null;
      });
    now = begun;
    return begun;
  };
  return () => {
    const ageMs = kept === null ? 0 : clock() - kept.at;
    if (kept !== null && ageMs < kept.forMs) {
      if (ageMs > kept.forMs / 2 && now === null) begin().catch(() => undefined);
      return Promise.resolve(kept.result);
    }
    if (now === null) return begin();
    next ??= now
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        next = null;
        return begin();
      });
    return next;
  };
}
