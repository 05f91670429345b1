import type { MigrationRequest, Plan } from './record.ts';
import { johnsonOrder, type Limits, type ScheduledMove, schedule } from './schedule.ts';

/** What is predicted of one move: when it copies, when its ranks stop, and when it has ended, ms from the beginning of all. */
export interface PredictedMove {
  id: string;
  copyFromMs: number;
  stopFromMs: number;
  endMs: number;
}

export interface GroupPrediction {
  makespanMs: number;
  moves: PredictedMove[];
  /** Of those no plan has a prediction: they are not in it. */
  unknown: string[];
}

export interface PlannedMove {
  id: string;
  plan: Pick<Plan, 'source' | 'target' | 'predicted'> | null;
  order?: MigrationRequest['order'];
}

/**
 * How long several moves take together, by the schedule that they go by (schedule.ts) and what their plans predict; in the
 * order in which they are given where that was asked for. What moves of one job wait for each other in a gang is not in it.
 * Null where nothing was predicted of any.
 */
export function predictGroup(moves: readonly PlannedMove[], limits: Limits): GroupPrediction | null {
  const stages: (ScheduledMove & { given: boolean })[] = [];
  const unknown: string[] = [];
  for (const { id, plan, order } of moves) {
    if (plan === null || plan.predicted === null || plan.target === null) {
      unknown.push(id);
      continue;
    }
    const { downtimeMs, totalMs, copyMs = Math.max(0, totalMs - downtimeMs) } = plan.predicted;
    stages.push({
      ...{ id, source: plan.source, target: plan.target, given: order === 'given' },
      aheadSeconds: Math.max(0, totalMs - copyMs - downtimeMs) / 1000,
      copySeconds: copyMs / 1000,
      restoreSeconds: downtimeMs / 1000,
    });
  }
  if (stages.length === 0) return null;
  const inOrder = [...stages.filter(({ given }) => given), ...johnsonOrder(stages.filter(({ given }) => !given))];
  const { moves: slots, makespan } = schedule(inOrder, limits);
  const ms = (seconds: number) => Math.round(seconds * 1000);
  return {
    makespanMs: ms(makespan),
    moves: slots.map(({ id, copyFrom, restoreFrom, end }) => ({
      ...{ id, copyFromMs: ms(copyFrom), stopFromMs: ms(restoreFrom), endMs: ms(end) },
    })),
    unknown,
  };
}
