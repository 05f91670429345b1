import type { SerializedError } from '../errors.ts';
import { finalStates, type MigrationRecord, type MigrationState, type Plan, type SwitchResult } from './record.ts';

/** What can happen to a migration. `at` is Unix time in milliseconds. */
export type MigrationEvent =
  | { type: 'driven'; at: number; driver: string }
  | { type: 'preflight-started'; at: number; source: string; epoch: number }
  | { type: 'planned'; at: number; plan: Plan }
  | { type: 'refused'; at: number; error: SerializedError; plan?: Plan }
  | { type: 'preparing-started'; at: number }
  | { type: 'copying-started'; at: number }
  | { type: 'switching-started'; at: number }
  | { type: 'switched'; at: number; result: SwitchResult }
  | { type: 'finished'; at: number; result?: SwitchResult }
  | { type: 'lost'; at: number; error: SerializedError }
  | { type: 'rolled-back'; at: number; error: SerializedError; result?: SwitchResult }
  | { type: 'cancel-requested'; at: number }
  | { type: 'cancelled'; at: number; error?: SerializedError }
  | { type: 'allocation'; at: number; notes: string[] }
  | { type: 'waiting'; at: number; reason: string | null }
  | { type: 'postponed'; at: number; until: number; reason: string }
  | { type: 'needs-operator'; at: number; error: SerializedError }
  | { type: 'resumed'; at: number };

/** state -> states that may follow. `rolled-back` stays reachable until the commit, never after it. */
const followers: Record<MigrationState, readonly MigrationState[]> = {
  queued: ['preflight', 'refused', 'cancelled', 'rolled-back'],
  preflight: ['preflight', 'preparing', 'refused', 'cancelled', 'rolled-back'],
  preparing: ['preflight', 'preparing', 'copying', 'switching', 'cancelled', 'rolled-back'],
  copying: ['switching', 'cancelled', 'rolled-back', 'needs-operator'],
  switching: ['finishing', 'cancelled', 'rolled-back', 'needs-operator'],
  finishing: ['completed', 'lost', 'needs-operator'],
  completed: [],
  refused: [],
  cancelled: [],
  'rolled-back': [],
  lost: [],
  'needs-operator': ['switching', 'finishing'],
};

export function isFinal(state: MigrationState): boolean {
  return finalStates.includes(state);
}

/** True where a move may still be called off: nothing is committed. */
export function isCancellable(state: MigrationState): boolean {
  return ['queued', 'preflight', 'preparing', 'copying', 'switching'].includes(state);
}

/** True where nobody has to do anything about a move yet: its window has not come, and nobody called it off. */
export function isPostponed({ state, notBefore, cancelRequested }: MigrationRecord, nowMs: number): boolean {
  return state === 'queued' && notBefore !== null && notBefore > nowMs && !cancelRequested;
}

/**
 * The state machine of a migration: a pure reducer. The revision is left to the store.
 * @throws Error where the event cannot follow the state: a fault of the caller, never of the input.
 */
export function reduce(record: MigrationRecord, event: MigrationEvent): MigrationRecord {
  switch (event.type) {
    case 'driven':
      return { ...record, driver: event.driver };
    case 'preflight-started':
      return { ...enter(record, 'preflight', event.at), source: event.source, epoch: event.epoch };
    case 'planned':
      return { ...record, plan: event.plan, target: event.plan.target };
    case 'refused':
      return { ...enter(record, 'refused', event.at), error: event.error, plan: event.plan ?? record.plan };
    case 'preparing-started':
      return enter(record, 'preparing', event.at);
    case 'copying-started':
      return enter(record, 'copying', event.at);
    case 'switching-started':
      return enter(record, 'switching', event.at);
    case 'switched':
      return { ...enter(record, 'finishing', event.at), result: event.result };
    case 'finished':
      return { ...enter(record, 'completed', event.at), result: event.result ?? record.result, error: null };
    case 'lost':
      return { ...enter(record, 'lost', event.at), error: event.error };
    case 'rolled-back':
      return { ...enter(record, 'rolled-back', event.at), error: event.error, result: event.result ?? record.result };
    case 'cancel-requested':
      return { ...record, cancelRequested: true };
    case 'cancelled':
      return { ...enter(record, 'cancelled', event.at), error: event.error ?? null };
    case 'allocation':
      return { ...record, allocation: event.notes };
    case 'waiting':
      return { ...record, waitingFor: event.reason };
    case 'postponed':
      if (record.state !== 'queued') throw new Error(`migration ${record.id}: ${record.state} cannot be postponed`);
      return { ...record, notBefore: event.until, waitingFor: event.reason };
    case 'needs-operator':
      return { ...enter(record, 'needs-operator', event.at), error: event.error };
    case 'resumed':
      return { ...enter(record, stateBefore(record), event.at), error: null };
  }
}

/** Where a migration that needed an operator goes on: where it gave up. */
function stateBefore({ phases }: MigrationRecord): MigrationState {
  return phases.at(-2)?.name === 'finishing' ? 'finishing' : 'switching';
}

function enter(record: MigrationRecord, state: MigrationState, at: number): MigrationRecord {
  if (!followers[record.state].includes(state)) {
    throw new Error(`migration ${record.id}: ${record.state} cannot be followed by ${state}`);
  }
  const phases = record.phases.map((phase, index) =>
    index === record.phases.length - 1 && phase.ms === null ? { ...phase, ms: at - phase.at } : phase,
  );
  const ended = isFinal(state);
  return {
    ...record,
    state,
    waitingFor: null,
    phases: [...phases, { name: state, at, ms: ended ? 0 : null }],
    endedAt: ended ? at : null,
    totalMs: ended ? at - record.createdAt : null,
  };
}

/** A new record in state queued. */
export function newMigration(
  fields: Pick<MigrationRecord, 'id' | 'container' | 'job' | 'requestedBy' | 'request'> &
    Partial<Pick<MigrationRecord, 'owner'>>,
  at: number,
): MigrationRecord {
  return {
    version: 1,
    revision: 0,
    driver: '',
    owner: null,
    ...fields,
    state: 'queued',
    source: null,
    target: null,
    epoch: null,
    cancelRequested: false,
    notBefore: null,
    waitingFor: null,
    createdAt: at,
    endedAt: null,
    plan: null,
    phases: [{ name: 'queued', at, ms: null }],
    result: null,
    allocation: [],
    totalMs: null,
    error: null,
  };
}
