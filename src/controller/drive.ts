import { RankshiftError } from '../errors.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { isFinal, type MigrationEvent } from '../migration/machine.ts';
import type { Terms } from '../migration/policy-terms.ts';
import { type MigrationRecord, type SwitchResult, switchResultSchema, unmeasured } from '../migration/record.ts';
import { remedyOf } from '../migration/remedies.ts';
import { hasRounds, mayLeavePages } from '../migration/strategy-kind.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { lockContainer, readContainer, unlockContainer } from '../store/containers.ts';
import { applyEvent, forgetActive, readMigration } from '../store/migrations.ts';
import { freeMemory } from '../store/reservations.ts';
import { passSlot } from '../store/turns.ts';
import { type Apply, waiting } from './apply.ts';
import { calledOff, cancelled, postponed } from './called-off.ts';
import type { ControllerContext } from './context.ts';
import { finishMove } from './finish-move.ts';
import { tellGroupNews } from './group-news.ts';
import { holdTarget } from './hold-target.ts';
import { goAlone, letGo } from './let-go.ts';
import { fetchOrder } from './locate-layers.ts';
import { gatherNamed } from './node-facts.ts';
import { containerPlaces, placesOfJob } from './places.ts';
import { termsOfMove } from './policy.ts';
import { preflight } from './preflight.ts';
import { reserveTarget } from './reserve-target.ts';
import { settle, settleTarget } from './settle.ts';
import { switchOrder } from './switch-order.ts';
import { turnTaker } from './turn-taker.ts';
import { untilShellsEnd } from './until-shells-end.ts';
import { untilStatesKnown } from './until-states-known.ts';
import { moveBefore, untilAlone, untilCopying, untilMadeReady } from './until-turn.ts';
import { settleSoon } from './watch-allocations.ts';
import { whileWanted } from './while-wanted.ts';
import { whyCancelled } from './why-cancelled.ts';

/** Many gigabytes over a slow link; agents look themselves whether the move was called off. */
const fetchMs = 12 * 3_600_000;
/** A policy does not change, nor a window close, in so short a time without a move being begun in it. */
const shortMs = 1000;

/**
 * Drives one migration from where its record stands to its end. The path of a move, top to bottom; each step writes
 * its intent before and its result after, so that another controller can pick it up at any point:
 * before `switching` all is undone and done again, from `switching` on the nodes are asked what was decided.
 * @param start as its driver took it (store/drivers.ts): whoever drove it before can write no more.
 * @param looks where they were begun beside that
 */
export async function driveMigration(
  context: ControllerContext,
  start: MigrationRecord,
  looks: FirstLooks | null = null,
): Promise<MigrationRecord> {
  const { id, driver } = start;
  let record = start;
  const apply = async (...events: MigrationEvent[]) => {
    if (events.length === 0) return record;
    const before = record.state;
    record = await applyEvent(context.redis, id, events, driver, record);
    if (record.state === before) return record;
    context.log.info({ migration: id, state: record.state }, `migration ${id}: ${record.state}`);
    context.metrics.observe(record);
    await breakpoint(context.config, `controller-${record.state}`);
    return record;
  };
  if (isFinal(record.state)) return clearUp(context, record);
  try {
    if (record.state === 'queued' || record.state === 'preflight' || record.state === 'preparing') {
      await begin(context, record, apply, looks);
    }
    if (record.state === 'copying' || record.state === 'switching') await decide(context, record, apply);
    if (record.state === 'finishing') await finishMove(context, record, apply);
  } catch (error) {
    if (context.stopping.aborted) throw error;
    const { driver: now } = await readMigration(context.redis, id);
    if (now !== driver) throw error;
    await giveUp(context, record, RankshiftError.from(error), apply);
  }
  return isFinal(record.state) ? clearUp(context, record) : record;
}

/** The last act, and the only one after the end: a driver that dies before it leaves the migration among the active ones. */
async function clearUp(context: ControllerContext, record: MigrationRecord): Promise<MigrationRecord> {
  const { redis } = context;
  await Promise.all([
    unlockContainer(redis, record.container, record.id),
    record.target === null ? null : freeMemory(redis, record.target, record.id),
    letGo(context, record),
  ]);
  await forgetActive(redis, record);
  if (record.request.group !== undefined) tellGroupNews(context, record.request.group, record.id);
  // What was held for a move that did not take place goes back; of one that did, all is settled (finish-move.ts).
  if (record.state !== 'completed' && record.target !== null) void settleSoon(context, record.job);
  return record;
}

/** Preflight, preparation and the switch, for a migration that has not reached its switch yet. */
async function begin(
  context: ControllerContext,
  start: MigrationRecord,
  apply: Apply,
  looks: FirstLooks | null,
): Promise<void> {
  const { id } = start;
  if (start.state === 'preparing') await settleTarget(context, start);
  let seen = looks ?? firstLooks(context, start);
  if (await untilAlone(context, start, waiting(apply), seen.before)) seen = firstLooks(context, start);
  const [before, { owner }] = await seen.source;
  let [terms, readAt] = [before, seen.at];
  if (await postponed(context, start, apply, terms)) return;
  await untilMadeReady(context, start, owner, waiting(apply));
  if (Date.now() - readAt > shortMs) {
    readAt = Date.now();
    terms = await termsOfMove(context, start.job, start.request);
    if (await postponed(context, start, apply, terms)) return;
  }
  // What the node says need not be younger than that.
  const nodes = start.request.to === undefined ? undefined : gatherNamed(context, [owner, start.request.to]);
  nodes?.catch(() => undefined);
  const locked = await lockContainer(context.redis, start.container, start);
  const begun = { type: 'preflight-started', at: Date.now(), source: locked.owner, epoch: locked.epoch } as const;
  const known = {
    container: locked,
    nodes: locked.owner === owner ? nodes : undefined,
    ...(Date.now() - readAt > shortMs ? {} : { terms }),
  };
  // A preflight changes nothing: it need not wait until that is written.
  const looking = preflight(context, start.request, known);
  looking.catch(() => undefined);
  if (await calledOff(context, await apply(begun), apply)) return;
  let looked = await looking;
  if (looked.inspection?.shells.some(({ onMove }) => onMove === 'wait') === true) {
    await untilShellsEnd(context, start, waiting(apply));
    if (await cancelled(context, id, apply)) return;
    looked = await preflight(context, start.request);
  }
  if (looked.plan.reasons.some(({ code }) => code === 'slurm-silent')) {
    await untilStatesKnown(context, start, waiting(apply));
    if (await cancelled(context, id, apply)) return;
    looked = await preflight(context, start.request);
  }
  const { plan: found, container, inspection, request } = looked;
  const plan = await reserveTarget(context, id, found);
  if (plan.reasons.length > 0 || plan.target === null || inspection === null) {
    const message = plan.reasons.map((reason) => reason.message).join('; ');
    const error = new RankshiftError('E_REFUSED', message, {
      phase: 'preflight',
      container: 'running on source',
      action: remedyOf(plan.reasons, plan.source, plan.target),
    });
    await apply({ type: 'refused', at: Date.now(), error: error.toJSON(), plan });
    return;
  }
  const at = Date.now();
  const planned = await apply({ type: 'planned', at, plan }, { type: 'preparing-started', at });
  if (await calledOff(context, planned, apply)) return;
  // Before the places are read: whoever moves meanwhile tells this target too.
  await lockContainer(context.redis, start.container, start, plan.target);
  const coming = { container: container.id, job: container.job, node: plan.target, migration: id };
  const refusal = await whileWanted(context, id, (signal) =>
    holdTarget(context, coming, { source: plan.source, signal }),
  );
  if (context.config.allocationFollow !== 'none' && (await cancelled(context, id, apply))) return;
  if (refusal !== null) throw refusal;
  await breakpoint(context.config, 'controller-held');
  const ofJob = await placesOfJob(context, container.job);
  const [order, places] = await Promise.all([
    switchOrder(context, { ...start, request }, plan, plan.target, container.epoch, ofJob),
    containerPlaces(context, ofJob),
  ]);
  const undo = () => settleTarget(context, { ...start, target: plan.target });
  const { facts } = inspection;
  const fetch = await fetchOrder(context, id, plan, facts, order.bandwidth);
  if (fetch !== null) {
    const options = { timeoutMs: fetchMs, container: container.id, epoch: container.epoch, migration: id };
    const failure = await context.commands.send(plan.target, 'fetch', fetch, options).then(
      () => null,
      (error: unknown) => error,
    );
    if (await cancelled(context, id, apply)) return;
    if (failure !== null) throw failure;
  }
  const memoryBytes = Math.ceil(plan.memoryBytes);
  await context.commands.send(
    plan.target,
    'prepare',
    {
      migration: id,
      container: container.id,
      epoch: container.epoch,
      source: order.source,
      places,
      memoryBytes,
      lazy: order.lazy,
      postCopy: mayLeavePages(order.strategy),
    },
    { timeoutMs: 60_000, container: container.id, epoch: container.epoch, migration: id },
  );
  await untilCopying(context, start, plan, plan.target, waiting(apply));
  const state = hasRounds(order.strategy) ? 'copying-started' : 'switching-started';
  // Whoever called it off before that did not know that there is a switch to be closed.
  if (await calledOff(context, await apply({ type: state, at: Date.now() }), apply, undo)) return;
  await switchOver(context, start, order, apply);
}

/** Lets the source agent conduct the switch; what its answer leaves open, the records and the nodes settle. */
async function switchOver(
  context: ControllerContext,
  record: MigrationRecord,
  order: SwitchOrder,
  apply: Apply,
): Promise<void> {
  const { id, container } = record;
  let result: SwitchResult;
  try {
    const options = { timeoutMs: 900_000, container, epoch: order.epoch, migration: id };
    result = switchResultSchema.parse(await context.commands.send(order.source.node, 'switch', order, options));
  } catch (error) {
    if (context.stopping.aborted) throw error;
    context.log.warn({ migration: id, error: (error as Error).message }, 'the switch was interrupted');
    // It may be long until its agent is back.
    await goAlone(context, record);
    await decide(context, await readMigration(context.redis, id), apply, RankshiftError.from(error));
    return;
  }
  await breakpoint(context.config, 'controller-switched');
  await conclude(context, record, result, apply);
}

/** After an interruption inside the switch: asks until both nodes have settled, and says how. */
async function decide(
  context: ControllerContext,
  record: MigrationRecord,
  apply: Apply,
  cause?: RankshiftError,
): Promise<void> {
  const { outcome, result: measured } = await settle(context, record, waiting(apply));
  const error = cause ?? new RankshiftError('E_AGENT', 'the switch was interrupted', { phase: 'switching' });
  const result = { ...unmeasured, outcome, error: outcome === 'committed' ? null : error.toJSON() };
  await conclude(context, record, measured ?? result, apply);
}

async function conclude(
  context: ControllerContext,
  record: MigrationRecord,
  result: SwitchResult,
  apply: Apply,
): Promise<void> {
  if (result.outcome === 'committed') {
    const { state } = await apply();
    const frozenAt = result.timeline.find(({ name }) => name === 'frozen')?.at;
    if (state === 'copying') await apply({ type: 'switching-started', at: Math.round(frozenAt ?? Date.now()) });
    const switched = await apply({ type: 'switched', at: Date.now(), result });
    await passSlot(context.redis, record.id);
    turnTaker(context).changed();
    await finishMove(context, switched, apply);
    return;
  }
  const latest = await readMigration(context.redis, record.id);
  await goAlone(context, latest);
  await settleTarget(context, latest);
  if (latest.cancelRequested) {
    await apply({ type: 'cancelled', at: Date.now(), error: await whyCancelled(context, latest) });
    return;
  }
  const error = result.error ?? new RankshiftError('E_INTERNAL', 'rolled back without a reason').toJSON();
  await apply({
    type: 'rolled-back',
    at: Date.now(),
    error: { ...error, phase: error.phase ?? 'switching', container: error.container ?? 'running on source' },
    result,
  });
}

/** A failure outside the switch: what was prepared is removed; the container never stopped. */
async function giveUp(
  context: ControllerContext,
  record: MigrationRecord,
  error: RankshiftError,
  apply: Apply,
): Promise<void> {
  context.log.warn({ migration: record.id, state: record.state, error: error.message }, 'migration failed');
  if (record.state === 'queued' || record.state === 'preflight') {
    await apply({ type: 'refused', at: Date.now(), error: error.toJSON() });
    return;
  }
  if (record.state === 'preparing') await settleTarget(context, await readMigration(context.redis, record.id));
  const serialized = { ...error.toJSON(), phase: error.details.phase ?? record.state };
  if (record.state === 'preparing') {
    await apply({ type: 'rolled-back', at: Date.now(), error: { ...serialized, container: 'running on source' } });
    return;
  }
  await apply({
    type: 'needs-operator',
    at: Date.now(),
    error: { ...serialized, action: `rankshift resolve ${record.id}` },
  });
}

export interface FirstLooks {
  /** Unix time in milliseconds. */
  at: number;
  before: Promise<MigrationRecord | undefined>;
  source: Promise<[Terms, ContainerRecord]>;
}

/** What a move that begins looks at first; whoever does not come to it need not wait for it. */
export function firstLooks(context: ControllerContext, { id, container, job, request }: MigrationRecord): FirstLooks {
  const before = moveBefore(context, { id, container });
  const source = Promise.all([termsOfMove(context, job, request), sourceOf(context, container)]);
  for (const look of [before, source]) look.catch(() => undefined);
  return { at: Date.now(), before, source };
}

async function sourceOf({ redis }: ControllerContext, id: string): Promise<ContainerRecord> {
  const container = await readContainer(redis, id);
  if (container === null) throw new RankshiftError('E_JOB_ENDED', `container ${id} has ended`);
  return container;
}
