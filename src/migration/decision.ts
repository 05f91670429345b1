import { z } from 'zod';

/** A decision of the balancer, as `rankshift decisions` shows it. */
export const decisionRecordSchema = z.object({
  at: z.number(),
  mode: z.enum(['dry-run', 'on']),
  container: z.string(),
  act: z.enum(['move', 'stay']),
  from: z.string(),
  to: z.string().nullable(),
  why: z.string(),
  reason: z.string().nullable(),
  /** What it asked for; null where it did not. */
  migration: z.string().nullable(),
});
export type DecisionRecord = z.infer<typeof decisionRecordSchema>;
