import { z } from 'zod';
import type { ApiClient } from '../../api/client.ts';
import { isFinal } from '../../migration/machine.ts';
import { type MigrationRecord, migrationRecordSchema, type Progress, progressSchema } from '../../migration/record.ts';

const topNodeSchema = z.object({
  name: z.string(),
  agentAlive: z.boolean(),
  slurmStates: z.array(z.string()),
  containers: z.number(),
  memoryAvailableBytes: z.number(),
  memoryTotalBytes: z.number().nullable().default(null),
  cpus: z.number().nullable().default(null),
  load: z.number().nullable().default(null),
  criuOk: z.boolean(),
});
export type TopNode = z.infer<typeof topNodeSchema>;

/** A move, and how far it is where it is on its way. */
export interface TopMove {
  record: MigrationRecord;
  progress: Progress | null;
}

/** All that a frame shows. Times are Unix milliseconds. */
export interface Overview {
  nodes: TopNode[];
  moves: TopMove[];
  at: number;
}

/** The last moves that are looked at: those under way and some that have ended. */
const lastMoves = 200;
/** Moves whose progress is asked for one by one; the rest show their phase. */
const mostAsked = 16;
const timeoutMs = 5000;

export async function readNodes(api: ApiClient, signal?: AbortSignal): Promise<TopNode[]> {
  return z.array(topNodeSchema).parse((await api.get('/v1/nodes', options(signal))).nodes);
}

/** The last moves, newest first. */
export async function readMoves(api: ApiClient, signal?: AbortSignal): Promise<TopMove[]> {
  const answer = await api.get(`/v1/migrations?limit=${lastMoves}`, options(signal));
  const records = z.array(migrationRecordSchema).parse(answer.migrations);
  const asked = records.filter(({ state }) => state === 'copying' || state === 'switching').slice(0, mostAsked);
  const progress = new Map(
    await Promise.all(asked.map(async ({ id }) => [id, await readOne(api, id, signal)] as const)),
  );
  return records.map((record) => ({ record, progress: progress.get(record.id) ?? null }));
}

async function readOne(api: ApiClient, id: string, signal?: AbortSignal): Promise<Progress | null> {
  const answer = await api.get(`/v1/migrations/${id}`, options(signal));
  return progressSchema.nullable().default(null).parse(answer.progress);
}

const options = (signal?: AbortSignal) => ({ timeoutMs, ...(signal === undefined ? {} : { signal }) });

export function isUnderWay({ record }: TopMove): boolean {
  return !isFinal(record.state) && record.state !== 'queued';
}
