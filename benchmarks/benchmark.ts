import type { Cluster } from '../mpi-tests/support/cluster.ts';
import type { BringUpOptions } from '../src/testbed/index.ts';
import type { Measured } from './measure/result.ts';

export interface BenchmarkOptions {
  /** How often each thing is measured; undefined: as the benchmark has it. */
  rounds: number | undefined;
  /** A few minutes less, for a look: fewer rounds, smaller sizes. Says nothing about the targets. */
  quick: boolean;
  /** For the person who waits. */
  say: (line: string) => void;
}

/** A benchmark of pure computation: needs no testbed. */
export interface ComputingBenchmark {
  about: string;
  compute: (options: BenchmarkOptions) => Promise<Measured>;
}

/** One benchmark: runs on a testbed of its own and prints its table. */
export interface Benchmark {
  about: string;
  /** Size of /var/lib/rankshift on each node, as of tmpfs(5). */
  stateSize?: string;
  /** Nodes with an image store of their own each. */
  privateImages?: boolean;
  /** CPUs that a node claims to have in Slurm. */
  cpusPerNode?: number;
  /** What else its testbed must be like. */
  testbed?: Pick<BringUpOptions, 'vm' | 'nodes' | 'config'>;
  measure: (cluster: Cluster, options: BenchmarkOptions) => Promise<Measured>;
}
