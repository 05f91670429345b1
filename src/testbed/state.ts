import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { stateRoot, testbedPaths } from './paths.ts';

export const roles = ['management', 'login', 'compute'] as const;
export type Role = (typeof roles)[number];

/** How Slurm is set up: as little as works, or as sites that hold jobs to what they asked for. */
export const profiles = ['plain', 'strict'] as const;
export type Profile = (typeof profiles)[number];

/** Kernel of a virtual machine: the distribution's own, or that of its release before, without our tracker. */
export const kernels = ['default', 'old'] as const;
export type Kernel = (typeof kernels)[number];

const nodeSchema = z.object({
  name: z.string(),
  role: z.enum(roles),
  address: z.ipv4(),
  mac: z.string(),
  /** How far this node's CLOCK_MONOTONIC is ahead of the machine's, in seconds. */
  monotonicOffsetS: z.number().int(),
  /** Namespaces of this machine, or a virtual machine with a kernel of its own. */
  kind: z.enum(['namespaces', 'machine']).default('namespaces'),
  /** Of a virtual machine. */
  kernel: z.enum(kernels).default('default'),
  /** PID 1 of the node as the machine sees it, with its start time (field 22 of proc_pid_stat(5)) against reuse; QEMU of a virtual one. */
  init: z.object({ pid: z.number().int(), startTime: z.string() }).optional(),
});

const stateSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  /** `starting` until everything answered once. */
  stage: z.enum(['starting', 'up']),
  subnet: z.string(),
  /** Homes, imported images and the data of Redis; in the cache that `up` used. */
  dataDir: z.string(),
  cpusPerNode: z.number().int(),
  profile: z.enum(profiles).default('plain'),
  /** Cgroup directory of the testbed in each hierarchy in use. */
  cgroups: z.array(z.object({ controller: z.string(), mount: z.string(), dir: z.string() })),
  nodes: z.array(nodeSchema),
});

export type NodeState = z.infer<typeof nodeSchema>;
export type TestbedState = z.infer<typeof stateSchema>;

/** Writes the state whole or not at all. Called before each step that acquires something. */
export function writeState(state: TestbedState): void {
  const { dir, stateFile } = testbedPaths(state.name);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  writeFileSync(`${stateFile}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${stateFile}.new`, stateFile);
}

/** The state of a testbed, or undefined where there is none of that name. */
export function findState(name: string): TestbedState | undefined {
  const { stateFile } = testbedPaths(name);
  if (!existsSync(stateFile)) return undefined;
  const parsed = stateSchema.safeParse(JSON.parse(readFileSync(stateFile, 'utf8')));
  if (parsed.success) return parsed.data;
  throw new RankshiftError('E_COMMAND', `${stateFile} cannot be read: ${z.prettifyError(parsed.error)}`, {
    action: `Remove the testbed with: rankshift testbed down --name ${name}`,
  });
}

/** @throws RankshiftError E_BAD_INPUT where there is no testbed of that name. */
export function readState(name: string): TestbedState {
  const state = findState(name);
  if (state !== undefined) return state;
  const others = listTestbeds();
  throw new RankshiftError('E_BAD_INPUT', `there is no testbed named ${name}`, {
    action: others.length === 0 ? 'Start one with: rankshift testbed up' : `Running testbeds: ${others.join(', ')}`,
  });
}

/** @throws RankshiftError E_UNKNOWN_NODE naming the nodes that there are. */
export function nodeOf(state: TestbedState, node: string): NodeState {
  const found = state.nodes.find(({ name }) => name === node);
  if (found !== undefined) return found;
  throw new RankshiftError('E_UNKNOWN_NODE', `testbed ${state.name} has no node ${node}`, {
    action: `Its nodes: ${state.nodes.map(({ name }) => name).join(', ')}`,
  });
}

/** Names of all testbeds that exist, also half-made ones. */
export function listTestbeds(): string[] {
  if (!existsSync(stateRoot)) return [];
  return readdirSync(stateRoot, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}
