import { outlook } from '../migration/progress.ts';
import type { Progress } from '../migration/record.ts';
import { formatBytes } from './table.ts';

/** How far a round or the freeze is, how fast it goes, what the ranks write, and the time that is left. */
export function describeProgress(progress: Progress): string {
  const { phase, round, sentBytes, wireBytes, ofBytes, dirtyBytesPerSecond } = progress;
  const { leftBytes, bytesPerSecond, leftMs } = outlook(progress);
  const known = ofBytes !== null && leftBytes !== null;
  return [
    `${phase === 'freeze' ? 'frozen' : `round ${round}`}: ${formatBytes(sentBytes)}${known ? ` of ${formatBytes(ofBytes)}` : ''}`,
    ...(known && leftBytes > 0 ? [`${formatBytes(leftBytes)} left`] : []),
    // A tenth less on the wire is worth a word.
    ...(wireBytes > 0 && wireBytes < 0.9 * sentBytes ? [`${formatBytes(wireBytes)} on the wire`] : []),
    ...(bytesPerSecond === null ? [] : [`${formatBytes(Math.round(bytesPerSecond))}/s`]),
    ...(phase === 'freeze' || dirtyBytesPerSecond === null
      ? []
      : [`${formatBytes(Math.round(dirtyBytesPerSecond))}/s written`]),
    ...(leftMs === null ? [] : [`${Math.ceil(leftMs / 1000)} s to go`]),
  ].join(', ');
}
