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
}

/**
 * memhog with its memory in the second rank alone, so that a big rank can be moved on a machine that has not got room
 * for two. A line for `rankshift run --` in a batch script.
 */
export function largeSecondRank(
  mib: number,
  { seconds, stepMs = 1, dirtyPercent = 0, gapMs = 20 }: HogOptions,
): string {
  const memory = `$((OMPI_COMM_WORLD_RANK == 1 ? ${mib} : ${peerMib}))`;
  const args = `--seconds ${seconds} --step-ms ${stepMs} --dirty-percent ${dirtyPercent} --gap-ms ${gapMs}`;
  return `/bin/sh -c 'exec /opt/rankshift-tests/bin/memhog --mib ${memory} ${args}'`;
}
