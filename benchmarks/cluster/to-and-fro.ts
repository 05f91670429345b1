import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { type Job, submitRun } from '../../mpi-tests/support/job.ts';
import { move } from '../../mpi-tests/support/move.ts';
import type { MigrationRecord } from '../../src/migration/record.ts';
import { finish } from './finish.ts';

/**
 * Runs a program of ours on n1 and n2 and moves its second container to n3, back to n2, and so on, that often. The
 * program ends in good order afterwards, so that it reports its gaps.
 */
export async function toAndFro(
  cluster: Cluster,
  program: string,
  moves: number,
): Promise<{ job: Job; records: MigrationRecord[] }> {
  const job = await submitRun(cluster, program, { nodelist: 'n1,n2' });
  await job.untilPrinted(/"event":"progress"/, 2);
  const records: MigrationRecord[] = [];
  while (records.length < moves) {
    const to = records.length % 2 === 0 ? 'n3' : 'n2';
    records.push(await move(cluster, job.container(1), { to }));
  }
  await finish(job);
  return { job, records };
}
