import { z } from 'zod';
import {
  clockPolicySchema,
  containerIdSchema,
  groupIdSchema,
  linkFactsSchema,
  migrationIdSchema,
  nodeNameSchema,
  quiesceSchema,
  reasonSchema,
  strategySchema,
  switchResultSchema,
} from './record.ts';
import { openShellSchema } from './shell.ts';
import { packingsSchema, wireSchema } from './wire.ts';

/** Where an agent listens for channels. */
export const agentAddressSchema = z.strictObject({
  node: nodeNameSchema,
  address: z.ipv4(),
  port: z.number().int().min(1).max(65535),
});
export type AgentAddress = z.infer<typeof agentAddressSchema>;

const groupIds = z.array(z.number().int().min(0).max(4294967294)).max(65536);

/** Everything a node must know to build a rank container; nothing secret in it. It never changes while the job runs. */
export const containerFactsSchema = z.strictObject({
  id: containerIdSchema,
  job: z.number().int().min(1),
  index: z.number().int().min(0),
  /** Tells two runs of one job apart; the launcher's secret is derived from it. */
  run: z.string().regex(/^[0-9a-f]{16}$/),
  uid: z.number().int().min(1),
  gid: z.number().int().min(1),
  user: z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/),
  home: z.string().regex(/^\/[^\0:\n]*$/),
  groups: groupIds,
  image: z.string().max(255),
  /** Layers, bottom first, `sha256:<hex>`. */
  layers: z
    .array(z.string().regex(/^sha256:[0-9a-f]{64}$/))
    .min(1)
    .max(127),
  /** `NAME=value` lines of the image, and of the job's script. */
  imageEnvironment: z.array(z.string().max(131_072)).max(4096),
  environment: z
    .array(
      z
        .string()
        .regex(/^[^=\0]+=/)
        .max(131_072),
    )
    .max(4096),
  workDir: z.string().regex(/^\/[^\0\n]*$/),
  /** The MPI of the image, and the program of its PATH that starts ranks. */
  mpi: z.enum(['openmpi', 'mpich']).default('openmpi'),
  mpiStarter: z
    .string()
    .regex(/^[a-z][a-z.]{1,31}$/)
    .default('mpirun'),
  /** Whether ranks get the MPI shim. */
  shim: z.boolean().default(true),
  /** Program and arguments that mpirun starts (container 0 only), or null. */
  program: z.array(z.string().max(131_072)).max(4096).nullable(),
  ranksPerContainer: z.number().int().min(1).max(4096),
  /** What the job has on each node: processors and bytes of memory; null where Slurm sets no limit. */
  cpus: z.number().int().min(1).nullable(),
  memoryBytes: z.number().int().min(1).nullable(),
  /** Number of containers of the run. */
  containers: z.number().int().min(1).max(10_000),
});
export type ContainerFacts = z.infer<typeof containerFactsSchema>;

const layerDigest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** What a target takes into its image store before a move. */
export const fetchOrderSchema = z.strictObject({
  migration: migrationIdSchema,
  /** Name of the image and all its layers, bottom first. */
  image: z.string().max(255),
  layers: z.array(layerDigest).min(1).max(127),
  /** Layers to be fetched, bytes of their archives, and who has each, the nearest first. */
  missing: z
    .array(
      z.strictObject({ digest: layerDigest, bytes: z.number().int().min(0), from: z.array(agentAddressSchema).max(8) }),
    )
    .max(127),
  /** Knows the image's name and configuration. */
  source: agentAddressSchema,
  /** Bytes per second; null for no limit. */
  bandwidth: z.number().int().positive().nullable(),
});
export type FetchOrder = z.infer<typeof fetchOrderSchema>;

/** Container index -> address of the node that has it now. */
export const placesSchema = z.record(z.string().regex(/^\d+$/), z.ipv4());
export type Places = z.infer<typeof placesSchema>;

export const switchOrderSchema = z.strictObject({
  migration: migrationIdSchema,
  container: containerIdSchema,
  /** Epoch before the switch. */
  epoch: z.number().int().min(1),
  source: agentAddressSchema,
  target: agentAddressSchema,
  /** Agents of all other nodes that have containers of the job. */
  peers: z.array(agentAddressSchema).max(10_000),
  clockPolicy: clockPolicySchema,
  quiesce: quiesceSchema.default('drain'),
  /** Memory of the container when the move was planned. */
  memoryBytes: z.number().int().min(0),
  strategy: strategySchema,
  /** As the plan says. */
  lazy: z.boolean(),
  /** Between the two nodes, as the plan measured it. */
  roundTripMs: z.number().min(0),
  /** Most that rounds may take of the link, bytes per second; null for no limit. */
  bandwidth: z.number().int().positive().nullable(),
  /** Every page of the restored container is compared with the source's before the commit. */
  verify: z.boolean().default(false),
  wire: wireSchema,
  /** The group of moves whose containers of this job freeze together; null: this one by itself. */
  gang: groupIdSchema.nullable().default(null),
  /** What the ranks write, as the plan sampled it. */
  dirtyBytesPerSecond: z.number().min(0).nullable(),
});
export type SwitchOrder = z.infer<typeof switchOrderSchema>;

/** Commands that reach an agent through its queue: name -> payload. Anything else is refused. */
export const commandSchemas = {
  launch: z.strictObject({ facts: containerFactsSchema, places: placesSchema }),
  /** `run`: only a container of this run; without it whatever is there. */
  teardown: z.strictObject({ container: containerIdSchema, run: z.string().optional() }),
  signal: z.strictObject({
    container: containerIdSchema,
    signal: z.enum(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGTSTP', 'SIGQUIT']),
  }),
  /** To the processors that Slurm gave a job on this node: the container's own, or the one that holds the node for it. */
  confine: z.strictObject({ container: containerIdSchema, slurmJob: z.number().int().min(1) }),
  inspect: z.strictObject({ container: containerIdSchema, target: agentAddressSchema.nullable() }),
  shells: z.strictObject({ container: containerIdSchema }),
  probe: z.strictObject({ layers: z.array(z.string()).max(127) }),
  distances: z.strictObject({ to: z.array(agentAddressSchema).max(64) }),
  fetch: fetchOrderSchema,
  prepare: z.strictObject({
    migration: migrationIdSchema,
    container: containerIdSchema,
    epoch: z.number().int().min(1),
    source: agentAddressSchema,
    places: placesSchema,
    memoryBytes: z.number().int().min(0),
    lazy: z.boolean(),
    /** Pages may come after the commit. */
    postCopy: z.boolean(),
  }),
  switch: switchOrderSchema,
  resolve: z.strictObject({ migration: migrationIdSchema, container: containerIdSchema }),
  /** `ended`: the record says how it ended, so nothing here is needed any more. */
  finish: z.strictObject({ migration: migrationIdSchema, container: containerIdSchema, ended: z.boolean().optional() }),
} as const;
export type CommandName = keyof typeof commandSchemas;
export type CommandPayload<N extends CommandName> = z.output<(typeof commandSchemas)[N]>;

export const inspectResultSchema = z.object({
  facts: containerFactsSchema,
  memoryBytes: z.number(),
  /** Null where it could not be measured, or no target was asked about. */
  dirtyBytesPerSecond: z.number().nullable(),
  /** What compression makes of a sample of the memory; null where that was not tried. */
  packings: packingsSchema.nullable().default(null),
  upperBytes: z.number(),
  processes: z.number(),
  reasons: z.array(reasonSchema),
  link: linkFactsSchema.nullable(),
  /** Shells that are open in it. */
  shells: z.array(openShellSchema).default([]),
  linkError: z.string().nullable(),
});
export type InspectResult = z.infer<typeof inspectResultSchema>;

export const shellsResultSchema = z.object({ shells: z.array(openShellSchema) });

/** `alive`: its PID 1 ran until now, or nothing of it was here. */
export const teardownResultSchema = z.object({ alive: z.boolean() });

export const probeResultSchema = z.object({
  missingLayers: z.array(z.string()),
  /** Layers that the node could send, and the bytes of that. */
  archives: z.array(z.object({ digest: z.string(), bytes: z.number() })),
  /** Of the file system that holds its image store. */
  storeFreeBytes: z.number(),
});
export type ProbeResult = z.infer<typeof probeResultSchema>;

/** Milliseconds; null for a node that does not answer. */
export const distancesResultSchema = z.object({ roundTripMs: z.array(z.number().nullable()) });

/** `filling`: memory still comes; ask again. `lost`: why the container cannot live any more. */
export const finishResultSchema = z.object({
  outcome: z.enum(['done', 'filling', 'lost']),
  reason: z.string().nullable(),
});
export type FinishResult = z.infer<typeof finishResultSchema>;

/** What a node found when it was asked to settle a migration. */
export const resolveResultSchema = z.object({
  outcome: z.enum(['committed', 'rolled-back', 'nothing-here']),
  /** What the switch measured, where its conductor lived to its end. */
  result: switchResultSchema.nullable().default(null),
});
export type ResolveResult = z.infer<typeof resolveResultSchema>;
