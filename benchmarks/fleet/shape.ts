import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** What fleet is simulated, and what is asked of it. */
export const shapeSchema = z.object({
  nodes: z.number().int(),
  containers: z.number().int(),
  /** Nodes that are emptied. */
  leaving: z.number().int(),
  containersPerJob: z.number().int(),
  /** `evacuation`: of all those nodes in one request; `moves`: a request for each container, with its target. */
  by: z.enum(['evacuation', 'moves']),
  /** Of moves: requests per second; null: all at once. */
  rate: z.number().nullable(),
  /** Moves that the controller drives at a time (MovesAtOnce). */
  movesAtOnce: z.number().int(),
  /** Times of mechanisms by this: 1 is as measured. */
  slower: z.number(),
  /** The controller is killed when so many moves have ended, and started again; null: never. */
  killAfter: z.number().int().nullable(),
  /** Deadlines and times to live by this, where all nodes share a machine that cannot keep up with a second for each. */
  patience: z.number(),
  redisPort: z.number().int(),
  /** Keys, configuration, Redis's files. */
  directory: z.string(),
  deadlineMs: z.number(),
  /** Agents and controller are at rest for twice as long before the first request. */
  restMs: z.number(),
});
export type Shape = z.infer<typeof shapeSchema>;

export const nodeName = (index: number) => `n${index + 1}`;

/** Container by its number in the fleet; jobs have numbers from 1 on. */
export function containerOf(shape: Shape, number: number) {
  const job = Math.floor(number / shape.containersPerJob) + 1;
  const index = number % shape.containersPerJob;
  return { id: `${job}.${index}`, job, index, node: nodeName(number % shape.nodes) };
}

const samplesSchema = z.object({
  data: z.object({
    sizes: z.array(
      z.object({
        mib: z.number(),
        samples: z.array(z.object({ by: z.string(), downtimeMs: z.number(), totalMs: z.number() })),
      }),
    ),
  }),
});

export interface Timing {
  downtimeMs: number;
  totalMs: number;
}

/** Whole moves of containers of 64 MiB as `npm run bench -- downtime` measured them last. */
export function measuredMoves(): Timing[] {
  const file = join(import.meta.dirname, '../results/downtime.json');
  const { data } = samplesSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  const samples = data.sizes.find(({ mib }) => mib === 64)?.samples ?? [];
  return samples.filter(({ by }) => by === 'rankshift, pre-copy');
}

/** Told between the processes of a simulation. */
export type ToController =
  | { type: 'submit'; containers: { id: string; to: string }[]; rate: number | null }
  | { type: 'evacuate'; nodes: string[] }
  | { type: 'figures' };
export type FromController =
  | { type: 'ready' }
  | { type: 'submitted'; at: [container: string, at: number][] }
  | { type: 'figures'; cpuSeconds: number; rssMiB: number; heapMiB: number };
export type FromAgents =
  | { type: 'ready' }
  | {
      type: 'figures';
      first: [container: string, at: number][];
      mostOut: number;
      mostIn: number;
      /** Where a limit was passed, the first few, and how often. */
      over: string[];
      overCount: number;
      commands: number;
      /** Where the containers that moved run, as their nodes have it. */
      running: [container: string, node: string][];
      twice: string[];
      cpuSeconds: number;
    };
