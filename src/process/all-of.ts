/**
 * Carries acts out side by side. Throws the first failure when none is still at work: what is cleared away because of a
 * failure must not come back.
 */
export async function allOf(acts: readonly (() => Promise<unknown>)[]): Promise<void> {
  const ended = await Promise.allSettled(acts.map((act) => act()));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
