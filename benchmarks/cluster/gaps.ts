import { z } from 'zod';
import type { Job } from '../../mpi-tests/support/job.ts';
import type { MigrationRecord } from '../../src/migration/record.ts';

/** A time in which a rank made no progress, as the test programs report it (mpi-tests/programs/gaps.h). */
const gapSchema = z.object({
  event: z.literal('gap'),
  rank: z.number().int(),
  startEpochNs: z.number(),
  realtimeGapMs: z.number(),
});

export interface Gap {
  rank: number;
  /** Unix time in milliseconds. */
  startMs: number;
  ms: number;
}

/** All gaps that a program printed at its end. */
export function gapsOf(job: Job): Gap[] {
  return job.lines(/^\{"event":"gap"/).map((line) => {
    const { rank, startEpochNs, realtimeGapMs } = gapSchema.parse(JSON.parse(line));
    return { rank, startMs: startEpochNs / 1e6, ms: realtimeGapMs };
  });
}

/** When a container was stopped and when it ran again, Unix time in milliseconds, by the record of its move. */
export function windowOf(record: MigrationRecord): { from: number; to: number; downtimeMs: number } {
  const frozen = record.result?.timeline.find(({ name }) => name === 'frozen');
  const downtimeMs = record.result?.downtimeMs;
  if (frozen === undefined || downtimeMs === null || downtimeMs === undefined) {
    throw new Error(`migration ${record.id} does not say how long the container was stopped`);
  }
  return { from: frozen.at, to: frozen.at + downtimeMs, downtimeMs };
}

/** The longest gap of a rank that overlaps the time in which a container was stopped. */
function around(gaps: readonly Gap[], rank: number, record: MigrationRecord): Gap {
  const { from, to } = windowOf(record);
  const overlapping = gaps.filter((gap) => gap.rank === rank && gap.startMs < to && gap.startMs + gap.ms > from);
  const [longest] = overlapping.toSorted((a, b) => b.ms - a.ms);
  if (longest === undefined) throw new Error(`rank ${rank} reports no gap around migration ${record.id}`);
  return longest;
}

/** The longest time around a move in which a rank did nothing, milliseconds. */
export function gapAround(gaps: readonly Gap[], rank: number, record: MigrationRecord): number {
  return around(gaps, rank, record).ms;
}

/**
 * From the freeze of a moved container until each of the ranks has made progress again, milliseconds. The moved rank
 * counts too: where a peer has what it waited for but its own message was lost, the moved one waits, and the peer after it.
 */
export function stallOf(gaps: readonly Gap[], ranks: readonly number[], record: MigrationRecord): number {
  const ends = ranks.map((rank) => {
    const { startMs, ms } = around(gaps, rank, record);
    return startMs + ms;
  });
  return Math.max(...ends) - windowOf(record).from;
}
