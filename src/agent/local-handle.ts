import { join } from 'node:path';
import { z } from 'zod';
import { type Externals, readExternals } from '../checkpoint/externals.ts';
import type { ContainerClock } from '../clock/continuity.ts';
import { type Config, containerDir, migrationDir } from '../config.ts';
import { cgroupDirectory, findInit } from '../container/find-init.ts';
import { rootfsPath, upperPath } from '../container/rootfs.ts';
import { RankshiftError } from '../errors.ts';
import type { ContainerFacts } from '../migration/commands.ts';
import { type Identity, overlayIdentity } from '../network/identity.ts';
import { run } from '../process/run.ts';
import type { AgentContext } from './context.ts';

/** A container on this node with everything that a switch needs to have at hand. */
export interface LocalHandle {
  facts: ContainerFacts;
  identity: Identity;
  netnsPath: string;
  cgroup: string;
  upper: string;
  /** Offsets of the container's clocks against this node's. */
  clock: ContainerClock;
  rootfs: string;
  initPid: number;
  nodeProgram: string;
  /** What CRIU must be told of the world outside the container. */
  externals: Externals;
  imageDir(migration: string): string;
  workDir(migration: string): string;
}

const showSchema = z.object({ monotonicNs: z.string(), boottimeNs: z.string() });

/** Looks a running container of this node up. @throws RankshiftError where it does not run here. */
export async function describeLocal(context: AgentContext, facts: ContainerFacts): Promise<LocalHandle> {
  const { config } = context;
  const directory = containerDir(config, facts.id);
  const [pid, cgroup] = await Promise.all([findInit(facts.job, facts.index), cgroupDirectory(facts.job, facts.index)]);
  if (pid === null)
    throw new RankshiftError('E_JOB_ENDED', `container ${facts.id} does not run on ${context.node} any more`);
  const nodeProgram = nodeProgramOf(config);
  const shown = showSchema.parse(JSON.parse((await run(nodeProgram, ['timens', '--show', String(pid)])).stdout));
  const externals = await readExternals(join(directory, 'bundle'), pid);
  const identity = overlayIdentity(facts.job, facts.index, config);
  return {
    facts,
    identity,
    netnsPath: join('/run/netns', identity.netns),
    cgroup,
    upper: upperPath(directory),
    clock: { monotonicNs: BigInt(shown.monotonicNs), boottimeNs: BigInt(shown.boottimeNs) },
    rootfs: rootfsPath(directory),
    initPid: pid,
    nodeProgram,
    externals,
    imageDir: (migration) => imageDirOf(config, migration),
    workDir: (migration) => workDirOf(config, migration),
  };
}

export const nodeProgramOf = (config: Config) => join(config.binDir, 'rankshift-node');
export const pagesProgramOf = (config: Config) => join(config.binDir, 'rankshift-pages');
export const leaveOutOf = (config: Config) => join(config.binDir, 'rankshift-leave-out.so');
export const upperProgramOf = (config: Config) => join(config.binDir, 'rankshift-upper');
export const bulkProgramOf = (config: Config) => join(config.binDir, 'rankshift-bulk');
export const imageDirOf = (config: Config, migration: string) => join(migrationDir(config, migration), 'images');
/** Pages by address, on the memory file system of the images. */
export const storeDirOf = (config: Config, migration: string) => join(imageDirOf(config, migration), 'store');
export const workDirOf = (config: Config, migration: string) => join(migrationDir(config, migration), 'work');
