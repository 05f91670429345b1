import type { AgentContext } from './context.ts';
import { exclusively } from './exclusively.ts';

type Operations = Pick<AgentContext, 'operations'>;

const inspection = (container: string) => `inspection of ${container}`;
const copy = (container: string) => `copy of ${container}`;

/**
 * Looks at the processes of a container. One at a time: while the tracker of one look arms a process, another would find
 * that it is traced and has a userfaultfd. Where a move copies the container it may not be tracked: what one tracker has
 * registered another cannot.
 */
export async function inspectionTurn<T>(
  context: Operations,
  container: string,
  act: (mayTrack: boolean) => Promise<T>,
): Promise<T> {
  if (context.operations.has(copy(container))) return act(false);
  return exclusively(context, inspection(container), () => act(true));
}

/** Waits for looks that are under way and keeps later ones from tracking, until what is returned is called. */
export async function copyTurn({ operations }: Operations, container: string): Promise<() => void> {
  const held = Promise.withResolvers<void>();
  operations.set(copy(container), held.promise);
  for (let other = operations.get(inspection(container)); other !== undefined; ) {
    await other.catch(() => undefined);
    other = operations.get(inspection(container));
  }
  return () => {
    operations.delete(copy(container));
    held.resolve();
  };
}
