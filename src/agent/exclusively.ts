import type { AgentContext } from './context.ts';

/**
 * Runs one act of a migration on this node after all that are under way: two at a time would undo each other. While it
 * runs, it is in `operations`.
 */
export async function exclusively<T>(
  { operations }: Pick<AgentContext, 'operations'>,
  migration: string,
  act: () => Promise<T>,
): Promise<T> {
  // Again after each wait: others waited for the same end, and one of them may have been faster.
  for (let other = operations.get(migration); other !== undefined; other = operations.get(migration)) {
    await other.catch(() => undefined);
  }
  const work = act();
  operations.set(migration, work);
  try {
    return await work;
  } finally {
    if (operations.get(migration) === work) operations.delete(migration);
  }
}
