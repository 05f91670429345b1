import { z } from 'zod';
import type { ApiClient } from '../api/client.ts';
import { exitCode } from '../errors.ts';
import { type Plan, planSchema } from '../migration/record.ts';
import { formatMs, table } from './table.ts';

const predictionSchema = z.object({
  makespanMs: z.number(),
  moves: z.array(z.object({ id: z.string(), copyFromMs: z.number(), stopFromMs: z.number(), endMs: z.number() })),
  unknown: z.array(z.string()),
});
const answerSchema = z.object({
  plans: z.array(planSchema),
  prediction: predictionSchema.nullable(),
  notes: z.array(z.string()),
});

/** What `rankshift migrate` would do, and nothing done. Exit code 3 where one of them cannot go. */
export async function dryRunSet(api: ApiClient, request: Record<string, unknown>, json: boolean): Promise<void> {
  const answer = answerSchema.parse(await api.post('/v1/sets', { ...request, dryRun: true }));
  if (json) console.log(JSON.stringify({ version: 1, ...answer }));
  else console.log(describeSetPlan(answer));
  if (!json) for (const note of notesOf(answer)) console.error(`note: ${note}`);
  if (answer.plans.some(({ reasons }) => reasons.length > 0)) process.exitCode = exitCode.refused;
}

/** Each move with what is predicted of it or what is against it, and how long all take together. */
export function describeSetPlan({
  plans,
  prediction,
}: Pick<z.infer<typeof answerSchema>, 'plans' | 'prediction'>): string {
  const slots = new Map(prediction?.moves.map((slot) => [slot.id, slot]));
  const about = (ms: number | undefined) => (ms === undefined ? '-' : formatMs(ms));
  const rows = plans.map(({ container, source, target, strategy, predicted, reasons }) => {
    const goes = reasons.length === 0;
    return [
      ...[container, source, target ?? '-', goes ? strategy : '-'],
      ...[about(goes ? predicted?.downtimeMs : undefined), about(goes ? predicted?.totalMs : undefined)],
      about(slots.get(container)?.endMs),
      reasons.map(({ message }) => message).join('; '),
    ];
  });
  const header = ['CONTAINER', 'FROM', 'TO', 'STRATEGY', 'DOWNTIME', 'TOTAL', 'DONE AT', 'WHY NOT'];
  const lines = [table(header, rows)];
  if (prediction !== null)
    lines.push(`together about ${formatMs(prediction.makespanMs)}${without(prediction.unknown)}`);
  return lines.join('\n');
}

function without(unknown: readonly string[]): string {
  return unknown.length === 0 ? '' : `, without ${unknown.join(', ')}, of which nothing could be predicted`;
}

function notesOf({ plans, notes }: { plans: readonly Plan[]; notes: readonly string[] }): string[] {
  const warnings = plans.flatMap(({ container, warnings: said }) => said.map((warning) => `${container}: ${warning}`));
  return [...notes, ...warnings];
}
