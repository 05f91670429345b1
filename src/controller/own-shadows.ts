import { type AllocationRecord, parseShadowComment } from '../migration/allocation.ts';
import type { ListedShadow } from '../slurm/shadow.ts';

/**
 * Shadows for containers of a job that its record does not have: asked for by a controller that died before it could
 * write them down. One of another user than the job's is not ours.
 */
export function ownShadows(
  listed: readonly ListedShadow[],
  record: AllocationRecord | null,
  job: number,
): { slurmJob: number; migration: string }[] {
  return listed.flatMap(({ slurmJob, uid, comment }) => {
    const parsed = parseShadowComment(comment);
    if (parsed?.job !== job || record?.shadows.some((shadow) => shadow.slurmJob === slurmJob)) return [];
    return record !== null && record.uid !== uid ? [] : [{ slurmJob, migration: parsed.migration }];
  });
}
