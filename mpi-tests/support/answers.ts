import { z } from 'zod';
import { containerRecordSchema } from '../../src/migration/container.ts';
import {
  migrationRecordSchema,
  planSchema,
  progressSchema,
  serializedErrorSchema,
} from '../../src/migration/record.ts';
import type { RunResult } from '../../src/process/run.ts';

/** What the commands print with --json: the shapes that scripts of users rely on. */
export const nodesAnswer = z.strictObject({
  version: z.literal(1),
  nodes: z.array(
    z.object({
      name: z.string(),
      agentAlive: z.boolean(),
      slurmStates: z.array(z.string()),
      containers: z.number().int(),
      memoryAvailableBytes: z.number(),
      criuOk: z.boolean(),
      kernel: z.string(),
    }),
  ),
});
export const containersAnswer = z.strictObject({ version: z.literal(1), containers: z.array(containerRecordSchema) });
/** `show ID` tells how far a move is that is under way. */
export const migrationAnswer = z.strictObject({
  version: z.literal(1),
  migration: migrationRecordSchema,
  progress: progressSchema.nullable().optional(),
});
export const migrationsAnswer = z.strictObject({ version: z.literal(1), migrations: z.array(migrationRecordSchema) });
/** `migrate` of several containers. */
export const setAnswer = z.strictObject({
  version: z.literal(1),
  group: z.looseObject({ id: z.string() }),
  migrations: z.array(migrationRecordSchema),
});
export const planAnswer = z.strictObject({ version: z.literal(1), plan: planSchema });
export const errorAnswer = z.strictObject({ version: z.literal(1), error: serializedErrorSchema });

/** The answer of a command that was called with --json; an error that quotes all it said where it is no such answer. */
export function parseAnswer<S extends z.ZodType>(schema: S, result: RunResult): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(result.stdout);
  } catch {
    throw new Error(`${result.argv.slice(-6).join(' ')}: exit ${result.exitCode}: ${result.stdout}${result.stderr}`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Error(`exit ${result.exitCode}: ${result.stdout.trim()}: ${z.prettifyError(parsed.error)}`);
}
