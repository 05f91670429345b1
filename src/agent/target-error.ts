import { RankshiftError } from '../errors.ts';

/** What the kernel, tar and CRIU say when memory or space runs out. */
const full = /no space left on device|disk quota exceeded|cannot allocate memory|ENOSPC|EDQUOT|ENOMEM/i;

/** An error of a node that takes a container: where it ran out of memory or space, it says so. */
export function targetError(node: string, error: unknown): RankshiftError {
  const known = RankshiftError.from(error);
  if (known.code === 'E_TARGET_FULL' || !full.test([known.message, ...(known.details.lines ?? [])].join('\n'))) {
    return known;
  }
  const { lines } = known.details;
  return new RankshiftError('E_TARGET_FULL', `${node} ran out of memory or space: ${known.message}`, {
    cause: error,
    ...(lines === undefined ? {} : { lines }),
  });
}
