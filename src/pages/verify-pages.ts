import { z } from 'zod';
import type { RestartableArea } from '../checkpoint/images/restartable-areas.ts';
import { RankshiftError } from '../errors.ts';
import type { Verified } from '../migration/record.ts';
import { run } from '../process/run.ts';

/** Every page of every process, at some GB/s. */
const longestMs = 3_600_000;
/** Rides along with CRIU's own images, which it knows how to tell from this. */
export const sumsFile = 'rankshift-sums.img';

const summedSchema = z.object({ processes: z.number(), pages: z.number() });
const comparedSchema = summedSchema.extend({ differing: z.number() });

/** Writes what every page of a frozen container holds: `rankshift-pages sum` (docs/pages.md). */
export async function sumPages(
  pages: string,
  cgroup: string,
  file: string,
  leftOut: readonly RestartableArea[],
): Promise<void> {
  const input = leftOut.map(({ process, address, bytes }) => `${process} ${address} ${bytes}\n`).join('');
  await run(pages, ['sum', cgroup, file], { input, timeoutMs: longestMs });
}

/**
 * Compares a restored container that has not run yet with what its source wrote: `rankshift-pages compare`.
 * @throws RankshiftError E_VERIFY naming the first pages that differ.
 */
export async function comparePages(pages: string, cgroup: string, file: string): Promise<Verified> {
  const { stdout, stderr, exitCode } = await run(pages, ['compare', cgroup, file], {
    allow: 'any',
    timeoutMs: longestMs,
  });
  const lines = stdout.trim().split('\n');
  if (exitCode !== 0) {
    throw new RankshiftError('E_VERIFY', `the restored memory could not be compared: ${stderr.trim()}`, { lines });
  }
  const { differing, ...verified } = comparedSchema.parse(JSON.parse(lines.pop() ?? ''));
  if (differing === 0) return verified;
  const what = `${differing} of ${verified.pages} pages differ from the source's, the first: ${lines[0]}`;
  throw new RankshiftError('E_VERIFY', what, { lines });
}
