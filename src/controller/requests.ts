import { RankshiftError } from '../errors.ts';
import { type ContainerRecord, containerId, parseContainerId } from '../migration/container.ts';
import { isCancellable, isFinal } from '../migration/machine.ts';
import type { Terms } from '../migration/policy-terms.ts';
import type { MigrationRecord, MigrationRequest, Plan } from '../migration/record.ts';
import { remedyOf } from '../migration/remedies.ts';
import { abortSwitch, readContainer } from '../store/containers.ts';
import { applyEvent, createMigration, readMigration } from '../store/migrations.ts';
import { stopWaiting } from '../store/turns.ts';
import { type Caller, requireOwner } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { goAlone } from './let-go.ts';
import { isKnown } from './node-facts.ts';
import { containersOfJob } from './places.ts';
import { requireTerms } from './policy.ts';
import { findNode, preflight } from './preflight.ts';

/** JOB.CONTAINER, or JOB where it has one container only. */
export async function findContainer(
  context: ControllerContext,
  caller: Caller,
  text: string,
): Promise<ContainerRecord> {
  const parsed = parseContainerId(text);
  if (parsed === null) throw new RankshiftError('E_BAD_INPUT', `not JOB or JOB.CONTAINER: ${text}`);
  const named =
    parsed.index === null ? null : await readContainer(context.redis, containerId(parsed.job, parsed.index));
  if (named !== null) {
    requireOwner(caller, named, `job ${parsed.job}`);
    return named;
  }
  const ofJob = await containersOfJob(context, parsed.job);
  if (ofJob.length === 0)
    throw new RankshiftError('E_UNKNOWN_JOB', `there is no job ${parsed.job} with rank containers`);
  const first = ofJob[0];
  if (parsed.index === null) {
    if (ofJob.length > 1 || first === undefined) {
      throw new RankshiftError(
        'E_BAD_INPUT',
        `job ${parsed.job} has ${ofJob.length} containers; name one: ${ofJob.map(({ id }) => id).join(', ')}`,
      );
    }
    requireOwner(caller, first, `job ${parsed.job}`);
    return first;
  }
  if (first !== undefined) requireOwner(caller, first, `job ${parsed.job}`);
  throw new RankshiftError(
    'E_UNKNOWN_CONTAINER',
    `job ${parsed.job} has no container ${parsed.index}; it has ${ofJob.map(({ id }) => id).join(', ')}`,
  );
}

export async function planRequest(
  context: ControllerContext,
  caller: Caller,
  request: MigrationRequest,
): Promise<Plan> {
  const { job } = await findContainer(context, caller, request.container);
  await requireTerms(context, caller, job, request);
  const { plan, container } = await preflight(context, request);
  if (container.migration !== '') {
    plan.reasons.unshift({
      code: 'moving',
      message: `container ${container.id} is moving already (migration ${container.migration})`,
    });
  }
  return plan;
}

/** What can be said at once. @throws RankshiftError where the caller may not, the node is unknown, or the container moves already. */
export async function checkRequest(context: ControllerContext, caller: Caller, request: MigrationRequest) {
  // On the way with it; what they say is heard after what it says.
  const job = parseContainerId(request.container)?.job ?? 0;
  const asking = Promise.all([
    requireTerms(context, caller, job, request),
    request.to === undefined || isKnown(context, request.to),
  ]);
  asking.catch(() => undefined);
  const container = await findContainer(context, caller, request.container);
  if (container.migration !== '') {
    throw new RankshiftError(
      'E_BUSY',
      `container ${container.id} is moving already (migration ${container.migration})`,
    );
  }
  const [{ reasons, notBefore, gang }, toIsKnown] = await asking;
  if (reasons.length > 0)
    throw new RankshiftError('E_REFUSED', reasons.map(({ message }) => message).join('; '), {
      action: remedyOf(reasons, container.owner, null),
      container: 'running on source',
    });
  // Said at once, for it is a slip of the pen; everything else about the target is the plan's business.
  if (request.to !== undefined && !toIsKnown) await findNode(context, [], request.to);
  if (request.to === container.owner) {
    throw new RankshiftError('E_REFUSED', `${container.id} runs on ${request.to} already`, {
      action: remedyOf([{ code: 'target-is-source', message: '' }], container.owner, null),
      container: 'running on source',
    });
  }
  return { container, notBefore, gang };
}

/** Puts a move into the queue. @throws RankshiftError as checkRequest. */
export async function submitMigration(
  context: ControllerContext,
  caller: Caller,
  request: MigrationRequest,
): Promise<MigrationRecord> {
  const { container, ...terms } = await checkRequest(context, caller, request);
  const requestedBy = { uid: caller.uid, name: caller.name };
  return queueMigration(context, requestedBy, container, request, terms);
}

/**
 * Writes the record of a move and wakes a driver; everything else about it is the preflight's business.
 * @param terms when it may begin, and whether it goes with its gang where the request does not say
 */
export async function queueMigration(
  context: ControllerContext,
  requestedBy: MigrationRecord['requestedBy'],
  { id, job, uid, user }: Pick<ContainerRecord, 'id' | 'job' | 'uid' | 'user'>,
  request: MigrationRequest,
  { notBefore, gang }: Pick<Terms, 'notBefore' | 'gang'> = { notBefore: null, gang: null },
): Promise<MigrationRecord> {
  const record = await createMigration(context.redis, {
    ...{ container: id, job, requestedBy },
    owner: { uid, name: user },
    request: gang === null || request.group === undefined ? request : { gang, ...request },
  });
  if (notBefore !== null) {
    // Found by the look for orphans when its time has come.
    const postponed = { type: 'postponed', at: Date.now(), until: notBefore.at, reason: notBefore.why } as const;
    return await applyEvent(context.redis, record.id, postponed);
  }
  await enqueue(context, record, `migration-${record.id}-0`);
  return record;
}

/**
 * Calls a move off, up to its commit: inside a switch it closes the commit record, and the source runs on. `before` says
 * that somebody had asked for it already.
 */
export async function cancelMigration(
  context: ControllerContext,
  caller: Caller,
  id: string,
): Promise<{ migration: MigrationRecord; before: boolean }> {
  const record = await readMigration(context.redis, id);
  await requireMigrationOwner(context, caller, record);
  if (!isCancellable(record.state))
    throw tooLate(id, isFinal(record.state) ? `has ended: ${record.state}` : 'has committed');
  const marked = await applyEvent(context.redis, id, { type: 'cancel-requested', at: Date.now() });
  await stopWaiting(context.redis, id);
  // Before its agent has looked: it may be long in coming to that.
  await goAlone(context, marked);
  if (['copying', 'switching'].includes(marked.state) && record.epoch !== null) {
    const answer = await abortSwitch(context.redis, {
      container: record.container,
      migration: id,
      epoch: record.epoch,
    });
    if (answer === 'committed') throw tooLate(id, 'has committed');
  }
  return { migration: marked, before: record.cancelRequested };
}

/** Goes on with a migration that gave up waiting: both nodes are asked again to settle by the commit record. */
export async function resolveMigration(
  context: ControllerContext,
  caller: Caller,
  id: string,
): Promise<MigrationRecord> {
  const record = await readMigration(context.redis, id);
  await requireMigrationOwner(context, caller, record);
  if (record.state !== 'needs-operator')
    throw new RankshiftError('E_REFUSED', `migration ${id} is ${record.state}; there is nothing to resolve`, {
      action: `See what it does with: rankshift show ${id}`,
    });
  const resumed = await applyEvent(context.redis, id, { type: 'resumed', at: Date.now() });
  await enqueue(context, resumed, `migration-${id}-${resumed.revision}`);
  return resumed;
}

/**
 * Into the queue, from which any controller may take it; this one need not wait for that. The record is what counts:
 * where the queue's own connection is not back yet, the look for orphans finds it.
 */
async function enqueue(context: ControllerContext, record: MigrationRecord, jobId: string): Promise<void> {
  const { id } = record;
  try {
    const queued = context.migrations.add('migrate', { id }, { jobId });
    context.driveNow?.(record);
    await queued;
  } catch (error) {
    context.log.warn({ migration: id, error: (error as Error).message }, 'not queued; it is picked up from its record');
  }
}

function tooLate(id: string, why: string): RankshiftError {
  return new RankshiftError('E_REFUSED', `migration ${id} ${why}; it is too late to cancel`, {
    action: `Nothing: see how it ended with rankshift show ${id}.`,
  });
}

export async function requireMigrationOwner(
  context: ControllerContext,
  caller: Caller,
  record: MigrationRecord,
): Promise<void> {
  if (caller.admin || record.requestedBy.uid === caller.uid || record.owner?.uid === caller.uid) return;
  const container = await readContainer(context.redis, record.container);
  requireOwner(caller, { uid: container?.uid ?? -1 }, `migration ${record.id}`);
}
