/** MPI_Wtime of one rank against rank 0 as the job itself measured it (mpi-tests/programs/clock_offset.h). */
export interface DriftSample {
  rank: number;
  offsetNs: number;
  /** The offset is right to within this. */
  errorNs: number;
  /** Unix time of the measurement, milliseconds. */
  atMs: number;
}

export interface Drift {
  /** Change against the rank's first sample, milliseconds: shortly before the move and shortly after it. */
  beforeMs: number;
  afterMs: number;
  /** Largest error of the samples that were compared, milliseconds. */
  measuredToMs: number;
}

/** Of so many samples on each side of the move the one with the smallest error counts. */
const compared = 5;

/** The `drift` lines of a kernel's output. */
export function parseDrift(output: string): DriftSample[] {
  const lines = output.matchAll(/^drift rank=(\d+) offset_ns=(-?\d+) error_ns=(\d+) realtime_ns=(\d+)$/gm);
  return [...lines].map(([, rank, offset, error, realtime]) => ({
    rank: Number(rank),
    offsetNs: Number(offset),
    errorNs: Number(error),
    atMs: Number(realtime) / 1e6,
  }));
}

/** What a move did to a rank's clock; null where one side of the move has no sample. */
export function driftAcross(samples: readonly DriftSample[], rank: number, frozenAtMs: number): Drift | null {
  const own = samples.filter((sample) => sample.rank === rank);
  const [first, ...later] = own;
  const before = best(later.filter(({ atMs }) => atMs < frozenAtMs).slice(-compared));
  const after = best(later.filter(({ atMs }) => atMs >= frozenAtMs).slice(0, compared));
  if (first === undefined || before === null || after === null) return null;
  const change = (sample: DriftSample) => (sample.offsetNs - first.offsetNs) / 1e6;
  const measuredTo = first.errorNs + Math.max(before.errorNs, after.errorNs);
  return { beforeMs: change(before), afterMs: change(after), measuredToMs: measuredTo / 1e6 };
}

function best(samples: readonly DriftSample[]): DriftSample | null {
  return samples.toSorted((a, b) => a.errorNs - b.errorNs)[0] ?? null;
}
