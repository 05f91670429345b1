import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submitRun } from '../mpi-tests/support/job.ts';
import { move } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark } from './benchmark.ts';
import { nextSample } from './cluster/drift.ts';
import { finish } from './cluster/finish.ts';
import { windowOf } from './cluster/gaps.ts';
import { rounded, summarize } from './measure/statistics.ts';

const targetMs = 1;
const policies = ['continuous', 'frozen'] as const;
/** Measurements before and after each move of which the one with the least error counts. */
const samples = 4;
/** The first one after a move may be half before it, and half is still in a buffer. */
const skipped = 3;

interface ClockMove {
  policy: (typeof policies)[number];
  from: string;
  to: string;
  downtimeMs: number;
  /** How far MPI_Wtime of the moved rank went against its peer's, milliseconds. */
  changeMs: number;
  /** The change is right to within this, milliseconds. */
  errorMs: number;
  /** Distance of the two nodes' CLOCK_MONOTONIC, seconds. */
  nodesApartS: number;
}

/** Change of MPI_Wtime across each of consecutive moves of one container. */
export const clock: Benchmark = {
  about: 'change of MPI_Wtime across moves, under both clock policies',
  async measure(cluster, { rounds, quick, say }) {
    const moves: ClockMove[] = [];
    for (const policy of policies) {
      const count = rounds ?? (quick ? 3 : 10);
      for (const done of await movesOf(cluster, policy, count, say)) moves.push(done);
    }
    print(moves);
    const continuous = moves.filter(({ policy }) => policy === 'continuous').map(({ changeMs }) => Math.abs(changeMs));
    const frozen = moves.filter(({ policy }) => policy === 'frozen');
    const { max, median } = summarize(continuous);
    return {
      targets: [
        {
          what: `change of MPI_Wtime across each of ${continuous.length} moves of one container`,
          wanted: `< ${targetMs} ms`,
          measured: `median ${median.toFixed(3)} ms, largest ${max.toFixed(3)} ms`,
          met: max < targetMs,
        },
      ],
      notes: [
        'Offset of the moved rank against its peer by 100 ping-pongs, the one with the shortest round trip counting; ' +
          'the error bound is half of that round trip, before and after added up.',
        'Under `frozen` MPI_Wtime falls behind, as it is meant to: by the downtime but for the restore on the target.',
      ],
      data: {
        continuousMs: summarize(continuous),
        frozenMs: summarize(frozen.map(({ changeMs }) => changeMs)),
        frozenBesideDowntimeMs: summarize(frozen.map(({ changeMs, downtimeMs }) => changeMs + downtimeMs)),
        moves,
      },
    };
  },
};

async function movesOf(
  cluster: Cluster,
  policy: ClockMove['policy'],
  count: number,
  say: (line: string) => void,
): Promise<ClockMove[]> {
  const program = '/opt/rankshift-tests/bin/drift --seconds 86400 --interval-ms 100 --exchanges 100';
  const job = await submitRun(cluster, program, { nodelist: 'n1,n2' });
  const moves: ClockMove[] = [];
  let before = await nextSample(job, samples, skipped);
  for (let round = 1, at = 'n2'; round <= count; round++) {
    const from = at;
    at = at === 'n2' ? 'n3' : 'n2';
    const record = await move(cluster, job.container(1), { to: at, clock: policy });
    const after = await nextSample(job, samples, skipped);
    moves.push({
      policy,
      from,
      to: at,
      downtimeMs: rounded(windowOf(record).downtimeMs),
      changeMs: (after.offsetNs - before.offsetNs) / 1e6,
      errorMs: (after.errorNs + before.errorNs) / 1e6,
      nodesApartS: rounded(Number(record.result?.clock?.nodeOffsetNs ?? 0) / 1e9),
    });
    say(`${policy}: ${round} of ${count} moves`);
    before = after;
  }
  await finish(job);
  return moves;
}

function print(moves: readonly ClockMove[]): void {
  const header = ['POLICY', 'MOVE', 'NODES APART s', 'DOWNTIME ms', 'CHANGE ms', 'ERROR BOUND ms'];
  const rows = moves.map(({ policy, from, to, nodesApartS, downtimeMs, changeMs, errorMs }) => [
    policy,
    `${from} -> ${to}`,
    nodesApartS.toFixed(3),
    downtimeMs.toFixed(1),
    changeMs.toFixed(4),
    `±${errorMs.toFixed(4)}`,
  ]);
  console.log(table(header, rows));
}
