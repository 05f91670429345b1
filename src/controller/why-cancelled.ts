import { RankshiftError, type SerializedError } from '../errors.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { readRun } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';

/** What a person reads of a move that was called off: somebody asked for it, or its job ended meanwhile (end-run.ts). */
export async function whyCancelled(
  { redis }: Pick<ControllerContext, 'redis'>,
  { id, job }: Pick<MigrationRecord, 'id' | 'job'>,
): Promise<SerializedError> {
  const run = await readRun(redis, job);
  const error =
    run === null || run.state === 'ending'
      ? new RankshiftError('E_JOB_ENDED', `the run of job ${job} ended while the move was under way`)
      : new RankshiftError('E_CANCELLED', `migration ${id} was called off`, { container: 'running on source' });
  return error.toJSON();
}
