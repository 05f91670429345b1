import type { ControllerContext } from './context.ts';

type Listener = (group: string, migration: string | null) => void;
const listeners = new WeakMap<ControllerContext, Listener>();

/** Who drives the groups of this controller hears of what would else wait for its next look. */
export function onGroupNews(context: ControllerContext, listener: Listener): void {
  listeners.set(context, listener);
}

/** @param migration that has ended; null of a group that is new */
export function tellGroupNews(context: ControllerContext, group: string, migration: string | null): void {
  listeners.get(context)?.(group, migration);
}
