import type { MigrationRecord } from '../migration/record.ts';
import { round } from '../telemetry/timeline.ts';
import type { Drift } from './drift.ts';

/** demo-report.json. Durations in milliseconds; null is what the demo did not get to see. */
export interface DemoReport {
  migration: {
    state: string;
    downtimeMs: number | null;
    stallMs: number | null;
    totalMs: number | null;
    phases: { name: string; ms: number | null }[];
  };
  clock: { driftBeforeMs: number | null; driftAfterMs: number | null; errorBoundMs: number | null };
  job: { state: string; exitCode: number | null; verification: string | null };
  /** Where each rank container ran before the move and after it. */
  nodes: { container: string; before: string; after: string }[];
}

export interface JobEnd {
  state: string;
  exitCode: number | null;
  verification: string | null;
}

export interface Evidence {
  record: MigrationRecord;
  drift: Drift | null;
  job: JobEnd;
  nodes: DemoReport['nodes'];
}

export function makeReport({ record, drift, job, nodes }: Evidence): DemoReport {
  const { state, result, totalMs, phases } = record;
  const bound = result?.clock == null ? null : round(Number(result.clock.errorBoundNs) / 1e6);
  return {
    migration: {
      state,
      downtimeMs: result?.downtimeMs ?? null,
      stallMs: result?.stallMs ?? null,
      totalMs,
      phases: phases.filter(({ name }) => name !== state).map(({ name, ms }) => ({ name, ms })),
    },
    clock: {
      driftBeforeMs: drift === null ? null : round(drift.beforeMs),
      driftAfterMs: drift === null ? null : round(drift.afterMs),
      errorBoundMs: bound,
    },
    job,
    nodes,
  };
}

export interface Verdict {
  what: string;
  good: boolean;
}

/** The drift that a move may cause, milliseconds. */
const mostDriftMs = 1;

/**
 * Everything that must be right for exit 0.
 * @param movedIndex index of the container that was asked to move
 * @param runsOn nodes on which processes of that container were found after the move
 */
export function judge(report: DemoReport, movedIndex: number, runsOn: readonly string[]): Verdict[] {
  const { migration, clock, job, nodes } = report;
  const moved = nodes[movedIndex];
  const others = nodes.filter((_, index) => index !== movedIndex);
  const { driftBeforeMs, driftAfterMs } = clock;
  const drifted = driftBeforeMs === null || driftAfterMs === null ? null : Math.abs(driftAfterMs - driftBeforeMs);
  return [
    { what: 'the migration is completed', good: migration.state === 'completed' },
    { what: 'downtime and stall were measured', good: migration.downtimeMs !== null && migration.stallMs !== null },
    {
      what: `the container's processes run on ${moved?.after ?? '?'}, and nowhere else`,
      good: moved !== undefined && moved.after !== moved.before && runsOn.length === 1 && runsOn[0] === moved.after,
    },
    { what: 'its peers stayed where they were', good: others.every(({ before, after }) => before === after) },
    {
      what: `MPI_Wtime of the moved rank changed by less than ${mostDriftMs} ms against its peers`,
      good: drifted !== null && drifted < mostDriftMs,
    },
    { what: 'the job ended as COMPLETED with exit code 0', good: job.state === 'COMPLETED' && job.exitCode === 0 },
    { what: 'its result is the official one (VERIFICATION SUCCESSFUL)', good: job.verification === 'SUCCESSFUL' },
  ];
}
