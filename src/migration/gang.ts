import type { MigrationRecord } from './record.ts';

/** Containers of one job that move in one group freeze together, unless that was not wanted; null for a move by itself. */
export function gangOf({
  request,
  job,
}: Pick<MigrationRecord, 'request' | 'job'>): { group: string; job: number } | null {
  return request.group === undefined || request.gang === false ? null : { group: request.group, job };
}
