import { RankshiftError } from '../errors.ts';

/** The controller is being started again, or waits for Redis: what was asked for goes on, and can be asked about again. */
export function isAway(error: unknown): boolean {
  return ['E_SERVICE', 'E_REDIS', 'E_LINK'].includes(RankshiftError.from(error).code);
}
