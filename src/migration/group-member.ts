import type { GroupMember } from './group.ts';
import type { Placement } from './placement.ts';

/** Until Slurm is asked again where it gave no answer. */
export const silentMs = 5000;

/**
 * How a container joins a group, by what its placement found. What has no target while Slurm does not say which nodes can
 * be used, and what its jobs hold, is not kept where it is for that: it waits, and is placed again.
 * @param placed null where it was not even looked for a target, with the reasons for that.
 */
export function joinsAs(
  { container, job, from }: Pick<GroupMember, 'container' | 'job' | 'from'>,
  placed: Pick<Placement, 'to' | 'reasons'> | null,
  against: GroupMember['reasons'],
  { slurmSilent, now }: { slurmSilent: boolean; now: number },
): GroupMember {
  const member = { container, job, from, migration: null, tries: 0, notBefore: 0 };
  if (placed === null) return { ...member, to: null, state: 'stays', reasons: against };
  const { to, reasons } = placed;
  if (to !== null) return { ...member, to, state: 'waiting', reasons };
  if (!slurmSilent) return { ...member, to, state: 'stays', reasons };
  const silent = { code: 'slurm-silent', message: 'Slurm does not answer' };
  return { ...member, to, state: 'waiting', notBefore: now + silentMs, reasons: [silent, ...reasons] };
}
