import { z } from 'zod';
import { containerIdSchema, groupIdSchema, migrationIdSchema, nodeNameSchema, reasonSchema } from './record.ts';

/** Why several containers move together: nodes are emptied, get back what left them, or a set that somebody named. */
export const groupKindSchema = z.enum(['evacuation', 'return', 'set']);
export type GroupKind = z.infer<typeof groupKindSchema>;

/** Who asked: a person's command, a program of Slurm's (trigger, reboot), or the controller, which saw the node's state. */
export const groupOriginSchema = z.enum(['command', 'trigger', 'reboot', 'watch']);
export type GroupOrigin = z.infer<typeof groupOriginSchema>;

/**
 * `waiting` for its move, `moving`, then `moved` or `stays` (with reasons); `ended`: its job did; `cancelled` with the
 * group; `lost`: it is no more, or nobody can know (docs/evacuation.md).
 */
export const memberStateSchema = z.enum(['waiting', 'moving', 'moved', 'stays', 'ended', 'cancelled', 'lost']);
export type MemberState = z.infer<typeof memberStateSchema>;

/** A container of a group, and how it goes: by a migration, or not at all, with the reasons. */
export const groupMemberSchema = z.object({
  container: containerIdSchema,
  job: z.number().int(),
  /** Where it was when it joined the group. */
  from: nodeNameSchema,
  /** What placement chose; null where nothing fits. */
  to: nodeNameSchema.nullable(),
  /** The last migration that was queued for it; null before the first. */
  migration: migrationIdSchema.nullable(),
  /** Migrations queued so far. */
  tries: z.number().int().default(0),
  state: memberStateSchema.default('waiting'),
  /** Not before this time, where an earlier try failed. */
  notBefore: z.number().default(0),
  /** Why it cannot go, or does not go now; empty where nothing forbids it. */
  reasons: z.array(reasonSchema).default([]),
});
export type GroupMember = z.infer<typeof groupMemberSchema>;

/** `active` until every member has ended; `completed`: all went; `incomplete`: some stayed, with their reasons. */
export const groupStateSchema = z.enum(['active', 'completed', 'incomplete', 'cancelled']);
export type GroupState = z.infer<typeof groupStateSchema>;

export const groupRecordSchema = z.object({
  version: z.literal(1),
  /** Grows by one with each write; the compare in compare-and-set. */
  revision: z.number().int(),
  id: groupIdSchema,
  kind: groupKindSchema,
  state: groupStateSchema,
  /** Emptied (evacuation) or filled again (return); of a set, where its containers are. */
  nodes: z.array(nodeNameSchema),
  /** Nodes that may be targets; empty: any. */
  targets: z.array(nodeNameSchema),
  reason: z.string(),
  requestedBy: z.object({ uid: z.number().int(), name: z.string() }),
  origin: groupOriginSchema,
  members: z.array(groupMemberSchema),
  cancelRequested: z.boolean(),
  /** What the group waits for, for people. */
  waitingFor: z.string().nullable().default(null),
  /** When it was asked for; its containers are looked at and placed before the record is written. */
  askedAt: z.number().optional(),
  createdAt: z.number(),
  endedAt: z.number().nullable(),
});
export type GroupRecord = z.infer<typeof groupRecordSchema>;
