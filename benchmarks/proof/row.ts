import { z } from 'zod';

const summarySchema = z.object({
  count: z.number(),
  median: z.number(),
  min: z.number(),
  max: z.number(),
  spread: z.number(),
});

/** What one program went through with one strategy. */
export const rowSchema = z.object({
  strategy: z.string(),
  program: z.string(),
  about: z.string(),
  /** Moves that completed with the program going on afterwards. */
  moves: z.number(),
  jobs: z.number(),
  /** Why results, moves or what was left behind are not right; empty where all is. */
  wrong: z.array(z.string()),
  downtimeMs: summarySchema.nullable(),
  totalMs: summarySchema.nullable(),
  /** From the end of the downtime to the first data of a peer, by the record. */
  beyondMs: summarySchema.nullable(),
  /** The same by the program itself: until every rank has made progress again. */
  gapBeyondMs: summarySchema.nullable(),
  /** Change of the moved rank's MPI_Wtime against its peer, by the program itself; absolute values, less their error. */
  driftMs: summarySchema.nullable(),
  /** To within this the service knew the offset of the nodes' clocks. */
  clockBoundMs: summarySchema.nullable(),
  pagesMiB: summarySchema.nullable(),
  seconds: z.number(),
  measuredAt: z.string(),
  loadBefore: z.number(),
});
export type Row = z.infer<typeof rowSchema>;
