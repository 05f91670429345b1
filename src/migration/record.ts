import { z } from 'zod';
import { parseWindows, windowAllowed } from './policy-windows.ts';
import { compressionSchema, streamsSchema } from './wire.ts';

/** States of a migration, in the order of a normal move; the last six are final. */
export const migrationStates = [
  'queued',
  'preflight',
  'preparing',
  'copying',
  'switching',
  'finishing',
  'completed',
  'refused',
  'cancelled',
  'rolled-back',
  'lost',
  'needs-operator',
] as const;

export type MigrationState = (typeof migrationStates)[number];

/** States in which nothing more happens by itself. */
export const finalStates: readonly MigrationState[] = [
  'completed',
  'refused',
  'cancelled',
  'rolled-back',
  'lost',
  'needs-operator',
];

export const containerIdSchema = z.string().regex(/^[1-9]\d{0,9}\.\d{1,4}$/, 'JOB.INDEX, for example 42.1');
export const nodeNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'a node name');
export const migrationIdSchema = z.string().regex(/^[1-9]\d{0,11}$/, 'the number of a migration');
export const groupIdSchema = z.string().regex(/^e[1-9]\d{0,11}$/, 'e and a number, for example e7');

export const clockPolicySchema = z.enum(['continuous', 'frozen']);
export type ClockPolicy = z.infer<typeof clockPolicySchema>;

export const strategySchema = z.enum(['stop-and-copy', 'pre-copy', 'post-copy', 'hybrid']);
export type Strategy = z.infer<typeof strategySchema>;

export const quiesceSchema = z.enum(['drain', 'mpi', 'none']);
export type Quiesce = z.infer<typeof quiesceSchema>;

/** What may be asked for with a move. */
export const migrationRequestSchema = z.strictObject({
  container: containerIdSchema,
  to: nodeNameSchema.optional(),
  clockPolicy: clockPolicySchema.optional(),
  quiesce: quiesceSchema.optional(),
  strategy: strategySchema.or(z.literal('auto')).optional(),
  /** Refuse where more is predicted, ms. */
  maxDowntimeMs: z.number().positive().max(86_400_000).optional(),
  /** Go although more is predicted. */
  force: z.boolean().optional(),
  /** Most that rounds before the freeze may take of the link, bytes per second. */
  bandwidth: z.number().int().positive().max(1e15).optional(),
  /** Compare every page before the target may run; costs downtime. */
  verify: z.boolean().optional(),
  compression: compressionSchema.or(z.literal('auto')).optional(),
  /** Connections. */
  streams: streamsSchema.or(z.literal('auto')).optional(),
  /** Whether it keeps its place among the requests, or goes where all of them together are done soonest (schedule.ts). */
  order: z.enum(['best', 'given']).optional(),
  /** Whether it freezes together with the containers of its job that move in the same group. @defaultValue true */
  gang: z.boolean().optional(),
  /** The evacuation, return or set (group.ts) that the move belongs to. */
  group: groupIdSchema.optional(),
  /** The move does not begin before, Unix time in milliseconds. */
  notBefore: z.number().int().positive().max(4_102_444_800_000).optional(),
  /** The move begins in one of these windows (policy-windows.ts). */
  window: z
    .string()
    .max(512)
    .refine((text) => parseWindows(text).ok, `allowed is ${windowAllowed}`)
    .optional(),
  /** Go against the policy; for administrators. */
  overridePolicy: z.boolean().optional(),
});
export type MigrationRequest = z.infer<typeof migrationRequestSchema>;

export const serializedErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  action: z.string().optional(),
  phase: z.string().optional(),
  retryable: z.boolean().optional(),
  container: z.enum(['running on source', 'stopped', 'running on target']).optional(),
  lines: z.array(z.string()).optional(),
});

/** One cause for which a move is refused. */
export const reasonSchema = z.object({ code: z.string(), message: z.string() });
export type Reason = z.infer<typeof reasonSchema>;

export const linkFactsSchema = z.object({
  roundTripMs: z.number(),
  /** Over one connection. */
  bytesPerSecond: z.number(),
  /** Over several (wire.ts); null where the round trip is too short for that to matter. */
  severalBytesPerSecond: z.number().nullable().default(null),
});
export type LinkFacts = z.infer<typeof linkFactsSchema>;

/** A layer that a target lacks: bytes of its archive, who can send it (the nearest first), and how far that one is. */
export const missingLayerSchema = z.object({
  digest: z.string(),
  bytes: z.number(),
  from: z.array(nodeNameSchema),
  roundTripMs: z.number().nullable(),
});

export type MissingLayer = z.infer<typeof missingLayerSchema>;

export const planSchema = z.object({
  container: containerIdSchema,
  source: nodeNameSchema,
  target: nodeNameSchema.nullable(),
  strategy: strategySchema,
  /** Why this strategy, for people. */
  strategyReason: z.string().default(''),
  /** The target restores at once and fills in memory while the container runs, out of its own; else CRIU restores it whole. */
  lazy: z.boolean().default(false),
  /** How writes are noted while the ranks run: by our tracker, by CRIU; null where that is not possible. And why so. */
  tracking: z.enum(['wp-async', 'soft-dirty']).nullable().default(null),
  trackingReason: z.string().default(''),
  memoryBytes: z.number(),
  /** What the ranks wrote while they were looked at; null where they were not. */
  dirtyBytesPerSecond: z.number().nullable().default(null),
  link: linkFactsSchema.nullable(),
  /** What is fetched into the target's image store before the move. */
  layers: z.array(missingLayerSchema).default([]),
  /** How the memory goes over the link, why, and what that carries, bytes of pages per second. */
  wire: z
    .object({
      compression: compressionSchema,
      streams: streamsSchema,
      why: z.string(),
      bytesPerSecond: z.number().nullable(),
    })
    .nullable()
    .default(null),
  /** Predicted milliseconds; null where nothing was measured to predict from. */
  predicted: z
    .object({
      downtimeMs: z.number(),
      totalMs: z.number(),
      /** Of the total, the rounds over the link; absent in records of earlier releases. */
      copyMs: z.number().optional(),
    })
    .nullable(),
  /** What becomes of the job's allocation in Slurm, for people; empty where nothing does. */
  allocation: z.array(z.string()).default([]),
  reasons: z.array(reasonSchema),
  warnings: z.array(z.string()),
});
export type Plan = z.infer<typeof planSchema>;

/** A point or a span in the life of a move. `at` is Unix time in milliseconds, `ms` the length of a span. */
export const timelineEntrySchema = z.object({
  name: z.string(),
  node: z.string(),
  at: z.number(),
  ms: z.number().optional(),
});
export type TimelineEntry = z.infer<typeof timelineEntrySchema>;

export const clockResultSchema = z.object({
  policy: clockPolicySchema,
  /** Offset of the target's CLOCK_MONOTONIC against the source's, nanoseconds (as text: bigint). */
  nodeOffsetNs: z.string(),
  /** Half of the best round trip: the measured offset is right to within this. */
  errorBoundNs: z.string(),
  /** Offset of the container's clock against its new node's, nanoseconds. */
  namespaceOffsetNs: z.string(),
  /** What the container's clock would have lost without the correction, milliseconds. */
  correctedMs: z.number(),
});
export type ClockResult = z.infer<typeof clockResultSchema>;

/** Ranks that were asked to park before the freeze, counted when the wait was over. */
export const quiesceResultSchema = z.object({
  /** At the entry of an MPI call. */
  parked: z.number(),
  /** Inside of one: more than none only where the deadline passed. */
  inside: z.number(),
  /** Computing. */
  outside: z.number(),
  waitedMs: z.number(),
  deadlineMs: z.number(),
});
export type QuiesceResult = z.infer<typeof quiesceResultSchema>;

/** What went to the target while the ranks ran. */
export const copyResultSchema = z.object({
  /** `wireBytes`: what `bytes` became on the wire. */
  rounds: z.array(z.object({ bytes: z.number(), ms: z.number(), wireBytes: z.number().optional() })),
  /** Why no further round was made. */
  ended: z.string(),
  /** Written memory by the tracker, and what the stream carried, bytes per second. */
  dirtyBytesPerSecond: z.number().nullable(),
  bytesPerSecond: z.number().nullable(),
  /** Longest time for which a rank was stopped by the tracker, microseconds. */
  longestStopUs: z.number(),
});
export type CopyResult = z.infer<typeof copyResultSchema>;

/** How far a move is. Bytes are those of pages; null before anything was measured. */
const upperPassSchema = z.object({ bytes: z.number(), changed: z.number(), ms: z.number() });

/** How the upper directory went: what was changed, while the container ran and in the freeze. */
export const upperResultSchema = z.object({ passes: z.array(upperPassSchema), final: upperPassSchema.nullable() });
export type UpperResult = z.infer<typeof upperResultSchema>;

/** How far a copy is. Bytes; `bytesPerSecond` null before anything was measured. */
export const progressSchema = z.object({
  /** A round while the ranks run, or what goes in the freeze. */
  phase: z.enum(['round', 'freeze']).default('round'),
  /** From 1 on; of the freeze: the one after the last. */
  round: z.number().int(),
  sentBytes: z.number(),
  /** What that took of the wire. */
  wireBytes: z.number().default(0),
  /** What goes in all, about; null where that is not known. */
  ofBytes: z.number().nullable(),
  /** Of the rounds before. */
  bytesPerSecond: z.number().nullable(),
  dirtyBytesPerSecond: z.number().nullable().default(null),
  at: z.number(),
  /** When it began, Unix time in milliseconds as `at`. */
  since: z.number(),
});
export type Progress = z.infer<typeof progressSchema>;

/** What was compared before the target ran: none of it differed. */
export const verifiedSchema = z.object({ processes: z.number(), pages: z.number() });
export type Verified = z.infer<typeof verifiedSchema>;

/** What a finished switch measured. */
export const switchResultSchema = z.object({
  outcome: z.enum(['committed', 'rolled-back']),
  downtimeMs: z.number().nullable(),
  stallMs: z.number().nullable(),
  quiesce: quiesceResultSchema.nullable().default(null),
  drain: z.object({ drained: z.boolean(), waitedMs: z.number(), pendingBytes: z.number() }).nullable(),
  bytes: z
    .object({
      pages: z.number(),
      upper: z.number(),
      metadata: z.number(),
      /** What the pages took of the wire, where they were counted there. */
      wire: z.number().nullable().default(null),
    })
    .nullable(),
  criu: z.object({ dump: z.record(z.string(), z.number()), restore: z.record(z.string(), z.number()) }).nullable(),
  clock: clockResultSchema.nullable(),
  copy: copyResultSchema.nullable().default(null),
  /** Memory that came only when the container ran on its target, bytes; null where none may (docs/pages.md). */
  leftBytes: z.number().nullable().default(null),
  /** Of a move with --verify. */
  verified: verifiedSchema.nullable().default(null),
  upper: upperResultSchema.nullable().default(null),
  timeline: z.array(timelineEntrySchema),
  error: serializedErrorSchema.nullable(),
});
export type SwitchResult = z.infer<typeof switchResultSchema>;

/** The result of a switch of which nothing is known but that it did not commit. */
export const unmeasured: SwitchResult = {
  outcome: 'rolled-back',
  downtimeMs: null,
  stallMs: null,
  quiesce: null,
  drain: null,
  bytes: null,
  criu: null,
  clock: null,
  copy: null,
  leftBytes: null,
  verified: null,
  upper: null,
  timeline: [],
  error: null,
};

export const migrationRecordSchema = z.object({
  version: z.literal(1),
  /** Grows by one with each write; the compare in compare-and-set. */
  revision: z.number().int(),
  /** Who drives it now: one that was taken for dead and comes back can write no more. */
  driver: z.string().default(''),
  id: migrationIdSchema,
  container: containerIdSchema,
  job: z.number().int(),
  requestedBy: z.object({ uid: z.number().int(), name: z.string() }),
  /** The job's user; null in records of before. */
  owner: z.object({ uid: z.number().int(), name: z.string() }).nullable().default(null),
  request: migrationRequestSchema,
  state: z.enum(migrationStates),
  source: nodeNameSchema.nullable(),
  target: nodeNameSchema.nullable(),
  /** Epoch of the container before the move. */
  epoch: z.number().int().nullable(),
  cancelRequested: z.boolean(),
  /** Not driven before; of a move that waits for its window. */
  notBefore: z.number().nullable().default(null),
  /** What the service waits for, for people. */
  waitingFor: z.string().nullable(),
  createdAt: z.number(),
  endedAt: z.number().nullable(),
  plan: planSchema.nullable(),
  phases: z.array(z.object({ name: z.enum(migrationStates), at: z.number(), ms: z.number().nullable() })),
  result: switchResultSchema.nullable(),
  /** How the job's allocation in Slurm followed, for people. */
  allocation: z.array(z.string()).default([]),
  totalMs: z.number().nullable(),
  error: serializedErrorSchema.nullable(),
});
export type MigrationRecord = z.infer<typeof migrationRecordSchema>;
