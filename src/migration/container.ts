import { z } from 'zod';
import { containerIdSchema, nodeNameSchema } from './record.ts';

/** What is known of a rank container in the records: who owns it, under which epoch, who may commit a switch. */
export const containerRecordSchema = z.object({
  id: containerIdSchema,
  job: z.number().int(),
  index: z.number().int(),
  uid: z.number().int(),
  user: z.string(),
  image: z.string(),
  state: z.enum(['starting', 'running', 'ended']),
  owner: nodeNameSchema,
  epoch: z.number().int(),
  /** Id of the migration that may commit, or empty. */
  switch: z.string(),
  /** Id of the migration under way, or empty: a lock against a second one. */
  migration: z.string(),
  /** Node that is being made ready to take it, or empty: frames between two containers that move at once go there too. */
  heading: nodeNameSchema.or(z.literal('')).default(''),
  moves: z.number().int(),
  /** The run that it belongs to: a job may have one after another, and one after a requeue elsewhere. */
  run: z.string().default(''),
  startedAt: z.number(),
});
export type ContainerRecord = z.infer<typeof containerRecordSchema>;

export function containerId(job: number, index: number): string {
  return `${job}.${index}`;
}

/** Splits `JOB` or `JOB.INDEX`; null where the text is neither. */
export function parseContainerId(text: string): { job: number; index: number | null } | null {
  const match = /^([1-9]\d{0,9})(?:\.(\d{1,4}))?$/.exec(text);
  if (match === null) return null;
  return { job: Number(match[1]), index: match[2] === undefined ? null : Number(match[2]) };
}
