import type { Redis } from 'ioredis';
import { z } from 'zod';
import { nodeNameSchema } from '../migration/record.ts';
import { keyPrefix, script } from './connection.ts';

/** One `rankshift run`: the rank containers of a job and the program in them. */
export const runRecordSchema = z.object({
  job: z.number().int(),
  /** Tells two runs of one job apart, one after another. */
  run: z.string(),
  uid: z.number().int(),
  user: z.string(),
  image: z.string(),
  nodes: z.array(nodeNameSchema),
  containers: z.number().int(),
  ranksPerContainer: z.number().int(),
  program: z.array(z.string()),
  state: z.enum(['starting', 'running', 'ending']),
  startedAt: z.number(),
  /** What policies look at, and what its user asked for, as it was when the run started. */
  subject: z.object({ partition: z.string(), account: z.string(), user: z.string(), jobName: z.string() }).optional(),
  wishes: z.array(z.object({ text: z.string(), where: z.string() })).default([]),
});
export type RunRecord = z.infer<typeof runRecordSchema>;

const all = `${keyPrefix}:runs`;

/** False where the job has a run already. */
export async function createRun(redis: Redis, run: RunRecord): Promise<boolean> {
  return (await redis.hsetnx(all, String(run.job), JSON.stringify(run))) === 1;
}

/** Nothing where the run has ended, or the job has another by now. */
export async function updateRun(redis: Redis, run: RunRecord): Promise<void> {
  await script(redis, 'updateRun', all, String(run.job), run.run, JSON.stringify(run));
}

/** Records as they were read last, to be parsed once: each move of a job asks for its run several times. */
const parsed = new Map<number, { text: string; run: RunRecord }>();
const mostParsed = 10_000;

/** The same object for the same text: who keeps something beside it can tell that nothing has changed. */
export async function readRun(redis: Redis, job: number): Promise<RunRecord | null> {
  const text = await redis.hget(all, String(job));
  if (text === null) {
    parsed.delete(job);
    return null;
  }
  const last = parsed.get(job);
  if (last?.text === text) return last.run;
  const run = runRecordSchema.parse(JSON.parse(text));
  if (parsed.size >= mostParsed) parsed.clear();
  parsed.set(job, { text, run });
  return run;
}

export async function listRuns(redis: Redis): Promise<RunRecord[]> {
  const texts = Object.values(await redis.hgetall(all));
  return texts.map((text) => runRecordSchema.parse(JSON.parse(text))).sort((a, b) => a.job - b.job);
}

/** Nothing where the job has another run by now; `run` empty: whatever run. */
export async function removeRun(redis: Redis, job: number, run: string): Promise<void> {
  await script(redis, 'removeRun', all, String(job), run);
}
