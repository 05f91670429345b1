import { RankshiftError } from '../errors.ts';
import { bytesPerSecondOf, millisecondsOf } from '../migration/quantities.ts';

/** `250`, `250ms`, `1.5s`, `2m`: milliseconds. @throws RankshiftError E_BAD_INPUT. */
export function parseDuration(option: string, text: string): number {
  const value = millisecondsOf(text);
  if (value === null)
    throw new RankshiftError('E_BAD_INPUT', `${option} ${text}: not a duration such as 250ms or 1.5s`);
  return value;
}

/** `500K`, `100M`, `1.5G`, `1000000`, with or without `/s`: bytes per second, multiples of 1024. @throws E_BAD_INPUT. */
export function parseRate(option: string, text: string): number {
  const value = bytesPerSecondOf(text);
  if (value === null)
    throw new RankshiftError('E_BAD_INPUT', `${option} ${text}: not a number of bytes per second such as 100M`);
  return value;
}
