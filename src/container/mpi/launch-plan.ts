import { z } from 'zod';
import type { ContainerHost } from '../spec.ts';
import { mpichCommand, mpichEnvironment } from './mpich.ts';
import { openMpiCommand, openMpiEnvironment } from './openmpi.ts';

/** The MPIs whose jobs run in rank containers, and can move. */
export const mpiKinds = ['openmpi', 'mpich'] as const;
export const mpiKindSchema = z.enum(mpiKinds);
export type MpiKind = z.infer<typeof mpiKindSchema>;

export interface MpiOptions {
  mpi: MpiKind;
  hosts: readonly ContainerHost[];
  /** True where ranks share processors: they give them up while they wait. */
  oversubscribed?: boolean;
}

export interface CommandOptions extends MpiOptions {
  /** Name of the program in the image's PATH that starts ranks, `mpirun` or another (`find-mpi.ts`). */
  starter: string;
  ranks: number;
  /** LD_PRELOAD of the ranks; null for none. */
  preload: string | null;
  program: string;
  args: readonly string[];
}

/**
 * The command that PID 1 of the first container starts. Ranks are not bound: processors are the cgroup's business, and
 * those of the next node may have other numbers.
 */
export function mpiCommand(options: CommandOptions): string[] {
  return options.mpi === 'mpich' ? mpichCommand(options) : openMpiCommand(options);
}

/**
 * What makes an MPI run over the job's containers: its daemons are started by our PID 1 instead of ssh, and ranks of
 * different containers talk TCP over the job's overlay, because that is what can move.
 */
export function mpiEnvironment(options: MpiOptions): Record<string, string> {
  return options.mpi === 'mpich' ? mpichEnvironment() : openMpiEnvironment(options);
}
