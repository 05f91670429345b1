import { z } from 'zod';

/**
 * Shapes of `scontrol show ... --json`, as tolerant as Slurm's releases differ: a number is bare up to 22.05 and
 * {set, infinite, number} from 23.02 on; a state is one text or a list; absent fields are null, '' or missing.
 */

const noVal = 0xfffffffe;
const infinite = 0xffffffff;
/** 64-bit fields carry NO_VAL64 and the per-CPU flag of memory from here on. */
const flag64 = 2 ** 63;

/** A number that may be unset (undefined) or Infinity. */
export const slurmNumber = z
  .union([
    z.null(),
    z.number(),
    z.string().regex(/^\d+$/).transform(Number),
    z.object({ set: z.boolean().optional(), infinite: z.boolean().optional(), number: z.number().optional() }),
  ])
  .optional()
  .transform((value): number | undefined => {
    if (value === null || value === undefined) return undefined;
    if (typeof value === 'number') {
      if (value === infinite) return Infinity;
      return value === noVal || value >= flag64 ? undefined : value;
    }
    if (value.infinite === true) return Infinity;
    return value.set === false ? undefined : value.number;
  });

const flags = z
  .union([z.string(), z.array(z.string())])
  .transform((value) => (typeof value === 'string' ? value.split('+') : value))
  .transform((list) => list.filter((flag) => flag !== ''));

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');

const count = z.union([z.number(), z.object({ count: z.number() }).transform((value) => value.count)]);

/** One node's share of a job: 24.11 (`name`, `cpus.count`, `memory.allocated`) or 22.05 (`nodename`, `cpus_used`). */
const share = z
  .object({
    name: z.string().optional(),
    nodename: z.string().optional(),
    cpus: count.optional(),
    cpus_used: z.number().optional(),
    memory: z.object({ allocated: slurmNumber }).optional(),
    memory_allocated: slurmNumber,
  })
  .transform((node) => ({
    name: node.name ?? node.nodename ?? '',
    cpus: node.cpus ?? node.cpus_used,
    memoryMiB: node.memory?.allocated ?? node.memory_allocated,
  }));

const shares = z.union([z.array(share), z.record(z.string(), share).transform((nodes) => Object.values(nodes))]);

const resources = z
  .object({
    allocated_nodes: shares.optional(),
    nodes: z.union([z.string(), z.object({ allocation: shares.optional(), whole: z.boolean().optional() })]).optional(),
  })
  .transform((value) => {
    if (value.allocated_nodes !== undefined) return { shares: value.allocated_nodes, whole: false };
    const { allocation = [], whole = false } = typeof value.nodes === 'object' ? value.nodes : {};
    return { shares: allocation, whole };
  });

export const jobSchema = z.object({
  job_id: z.number().int(),
  user_name: text,
  user_id: z.number().int(),
  group_id: z.number().int(),
  job_state: flags,
  nodes: text,
  batch_host: text,
  job_resources: resources.nullish().catch(null),
  tasks: slurmNumber,
  tasks_per_node: slurmNumber,
  cpus_per_task: slurmNumber,
  memory_per_node: slurmNumber,
  current_working_directory: text,
  name: text,
  account: text,
  partition: text,
  qos: text,
  resv_name: text,
  wckey: text,
  /** `none` where no other job may have the same node; from 23.02 a list. */
  shared: flags.nullish(),
  restart_cnt: slurmNumber,
  admin_comment: text,
  time_limit: slurmNumber,
  end_time: slurmNumber,
  comment: z
    .union([z.string(), z.object({ job: text })])
    .nullish()
    .transform((value) => (typeof value === 'string' ? value : (value?.job ?? ''))),
});

export const nodeSchema = z.object({
  name: z.string(),
  address: text,
  state: flags,
  state_flags: flags.optional(),
  reason: text,
  cpus: z.number(),
  real_memory: z.number(),
  alloc_cpus: slurmNumber,
  alloc_memory: slurmNumber,
});

/** Unix time of the newest change among what is listed; 0 or unset where slurmctld has said nothing. */
const lastUpdate = slurmNumber;

export const jobsAnswer = z.object({ jobs: z.array(jobSchema), last_update: lastUpdate });
export const nodesAnswer = z.object({ nodes: z.array(nodeSchema), last_update: lastUpdate });

export type SlurmJob = z.output<typeof jobSchema>;
export type SlurmNode = z.output<typeof nodeSchema>;
