import type { Route } from '../api/route.ts';
import { within } from '../store/connection.ts';
import type { ControllerContext } from './context.ts';

/** Long enough for a Redis that restarts or syncs its log to a slow disk, short enough for a person who waits. */
const answerMs = 3000;

/**
 * A route that is refused with E_REDIS while Redis does not answer. Commands on our connection wait for it to come back,
 * which is right for a migration under way, but whoever types a command is to be told, and what is refused must not
 * happen later.
 */
export function requireRedis({ redis }: Pick<ControllerContext, 'redis'>, route: Route): Route {
  return {
    ...route,
    handle: async (request) => {
      await within(answerMs, redis.ping());
      return route.handle(request);
    },
  };
}
