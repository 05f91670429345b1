import { z } from 'zod';
import { belongs, type HistoryEntry, historyEntry } from '../migration/history.ts';
import { expandHostlist } from '../slurm/hostlist.ts';
import { migrationsUntil } from '../store/migrations.ts';
import type { Caller } from './authorize.ts';
import type { ControllerContext } from './context.ts';

const list = z
  .string()
  .max(4096)
  .transform((text) => text.split(','));

export const historyQuerySchema = z.object({
  since: z.coerce.number().int().min(0),
  until: z.coerce.number().int().min(0),
  jobs: list.optional(),
  nodes: z.string().max(4096).optional(),
  users: list.optional(),
  states: list.optional(),
});

/** The moves that are asked for, oldest first, of those that the caller may see. */
export async function history(
  { redis }: ControllerContext,
  caller: Caller,
  { since, until, jobs, nodes, users, states }: z.infer<typeof historyQuerySchema>,
): Promise<HistoryEntry[]> {
  const query = {
    since,
    until,
    ...(jobs === undefined ? {} : { jobs }),
    ...(users === undefined ? {} : { users }),
    ...(states === undefined ? {} : { states }),
    ...(nodes === undefined ? {} : { nodes: new Set(expandHostlist(nodes)) }),
  };
  const found: HistoryEntry[] = [];
  for await (const record of migrationsUntil(redis, until)) {
    const own = record.requestedBy.uid === caller.uid || record.owner?.uid === caller.uid;
    if ((caller.admin || own) && belongs(record, query)) found.push(historyEntry(record));
  }
  return found;
}
