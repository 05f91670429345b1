/** Memory of the rank that stays. */
const peerMib = 1;

export interface HogOptions {
  seconds: number;
  /** Pause between two allreduces. @defaultValue 1 */
  stepMs?: number;
  /** Of its memory per second. @defaultValue 0 */
  dirtyPercent?: number;
  /** Shorter gaps are not reported. @defaultValue 20 */
  gapMs?: number;
  /** How often the first rank says how many exchanges there were; 0: never (rates.ts). @defaultValue 0 */
  rateMs?: number;
  /** Words of a page that differ; fewer than 512 can be compressed, 0 is a page of zeros. @defaultValue 512 */
  words?: number;
}

/**
 * memhog with its memory in the second rank alone, so that a big rank can be moved on a machine that has not got room
 * for two. A line for `rankshift run --` in a batch script.
 */
export function largeSecondRank(
  mib: number,
  { seconds, stepMs = 1, dirtyPercent = 0, gapMs = 20, rateMs = 0, words = 512 }: HogOptions,
): string {
  const memory = `$((OMPI_COMM_WORLD_RANK == 1 ? ${mib} : ${peerMib}))`;
  const args = `--seconds ${seconds} --step-ms ${stepMs} --dirty-percent ${dirtyPercent} --gap-ms ${gapMs} --rate-ms ${rateMs} --words ${words}`;
  return `/bin/sh -c 'exec /opt/rankshift-tests/bin/memhog --mib ${memory} ${args}'`;
}
