import { z } from 'zod';
import {
  containerIdSchema,
  type MigrationRecord,
  migrationIdSchema,
  migrationStates,
  nodeNameSchema,
} from './record.ts';

/** One move as `rankshift history` tells it: flat, without what only `rankshift show` needs. Times in milliseconds. */
export const historyEntrySchema = z.object({
  id: migrationIdSchema,
  container: containerIdSchema,
  job: z.number().int(),
  /** Of the job. */
  user: z.string(),
  /** Who asked for the move. */
  by: z.string(),
  group: z.string().nullable(),
  state: z.enum(migrationStates),
  source: nodeNameSchema.nullable(),
  target: nodeNameSchema.nullable(),
  strategy: z.string().nullable(),
  submittedAt: z.number(),
  /** When it left the queue. */
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
  queuedMs: z.number().nullable(),
  totalMs: z.number().nullable(),
  downtimeMs: z.number().nullable(),
  stallMs: z.number().nullable(),
  predictedDowntimeMs: z.number().nullable(),
  bytes: z.number().nullable(),
  wireBytes: z.number().nullable(),
  errorCode: z.string().nullable(),
  /** What it failed of, or waits for. */
  reason: z.string().nullable(),
});
export type HistoryEntry = z.infer<typeof historyEntrySchema>;

/** What of the history is asked for. A move belongs to a time in which it was queued or under way. */
export interface HistoryQuery {
  since: number;
  until: number;
  /** `42`, `42.1`. */
  jobs?: readonly string[];
  nodes?: ReadonlySet<string>;
  users?: readonly string[];
  states?: readonly string[];
}

export function belongs(record: MigrationRecord, query: HistoryQuery): boolean {
  const { container, job, source, target, request, state } = record;
  const { jobs, nodes, users, states } = query;
  if (record.createdAt > query.until || (record.endedAt ?? Infinity) < query.since) return false;
  if (jobs !== undefined && !jobs.includes(String(job)) && !jobs.includes(container)) return false;
  const places = [source, target ?? request.to].filter((name) => name != null);
  if (nodes !== undefined && !places.some((name) => nodes.has(name))) return false;
  if (users !== undefined && !users.includes(ownerName(record))) return false;
  return states === undefined || states.includes(state);
}

/** The job's user; of records of before, who asked. */
function ownerName({ owner, requestedBy }: MigrationRecord): string {
  return owner?.name ?? requestedBy.name;
}

export function historyEntry(record: MigrationRecord): HistoryEntry {
  const { result, plan, phases, error } = record;
  const started = phases.find(({ name }) => name === 'preflight')?.at ?? null;
  return {
    id: record.id,
    container: record.container,
    job: record.job,
    user: ownerName(record),
    by: record.requestedBy.name,
    group: record.request.group ?? null,
    state: record.state,
    source: record.source,
    target: record.target ?? record.request.to ?? null,
    strategy: plan?.target == null ? null : plan.strategy,
    submittedAt: record.createdAt,
    startedAt: started,
    endedAt: record.endedAt,
    queuedMs: started === null ? null : started - record.createdAt,
    totalMs: record.totalMs,
    downtimeMs: result?.downtimeMs ?? null,
    stallMs: result?.stallMs ?? null,
    predictedDowntimeMs: plan?.predicted?.downtimeMs ?? null,
    bytes: result?.bytes == null ? null : result.bytes.pages + result.bytes.upper + result.bytes.metadata,
    wireBytes: result?.bytes?.wire ?? null,
    errorCode: error?.code ?? null,
    reason: error?.message ?? record.waitingFor,
  };
}
