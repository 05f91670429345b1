import type { AgentContext } from './context.ts';

/** Containers of a job come to a node and leave it at the same time: making and removing what they share take turns. */
export const overlayOf = (job: number) => `overlay of ${job}`;

/** A container is removed by one at a time. */
export const removalOf = (container: string) => `removal of ${container}`;

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
