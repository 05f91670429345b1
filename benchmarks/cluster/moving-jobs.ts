import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { type Job, submitRun } from '../../mpi-tests/support/job.ts';
import { move } from '../../mpi-tests/support/move.ts';
import type { MigrationRecord } from '../../src/migration/record.ts';

export interface MovingJobs {
  /** The program with its arguments, running for that many seconds. */
  program: (seconds: number) => string;
  /** Moves wanted in all. */
  moves: number;
  /** Longest time of one job. @defaultValue 90 */
  longestSeconds?: number;
  clock?: 'continuous' | 'frozen';
}

export interface MovedJob {
  job: Job;
  records: MigrationRecord[];
}

/** One run of a program on n1 and n2, during which its second container goes to and fro between n2 and n3. */
async function moveWhileItRuns(
  cluster: Cluster,
  program: string,
  { seconds, moves, clock }: { seconds: number; moves: number; clock?: 'continuous' | 'frozen' | undefined },
): Promise<MovedJob> {
  const job = await submitRun(cluster, program, { nodelist: 'n1,n2' });
  await job.untilPrinted(/"event":"progress"/);
  const end = performance.now() + seconds * 1000;
  const records: MigrationRecord[] = [];
  let longestMs = 3000;
  for (let at = 'n2'; records.length < moves; ) {
    // To and fro in pairs, so that both directions count alike.
    const needed = at === 'n2' ? 2 : 1;
    if (end - performance.now() < 1.3 * needed * longestMs + 1000) break;
    at = at === 'n2' ? 'n3' : 'n2';
    const started = performance.now();
    records.push(await move(cluster, job.container(1), { to: at, ...(clock === undefined ? {} : { clock }) }));
    longestMs = Math.max(longestMs, performance.now() - started);
  }
  // The programs report their gaps at their end.
  const ended = await job.untilEnded(seconds * 1000 + 120_000);
  if (ended.state !== 'COMPLETED' || !/VERIFICATION SUCCESSFUL/.test(job.stdout)) {
    throw new Error(`job ${job.id} with moves ended ${JSON.stringify(ended)}: ${job.all.slice(-2000)}`);
  }
  return { job, records };
}

/** As many jobs as it takes until there were that many moves; an even number in each, so that both directions count. */
export async function* movingJobs(cluster: Cluster, options: MovingJobs): AsyncGenerator<MovedJob> {
  const { program, moves, longestSeconds = 90, clock } = options;
  let perMoveMs = 5000;
  for (let left = moves; left > 0; ) {
    const seconds = Math.min(longestSeconds, Math.ceil((Math.min(left, 60) * perMoveMs * 1.2) / 1000) + 8);
    const started = performance.now();
    const done = await moveWhileItRuns(cluster, program(seconds), { seconds, moves: left, clock });
    if (done.records.length === 0) throw new Error(`no move fitted into ${seconds} s`);
    perMoveMs = (performance.now() - started) / done.records.length;
    left -= done.records.length;
    yield done;
  }
}
