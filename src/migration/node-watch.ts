import { z } from 'zod';

/** What a node's state in Slurm means for the containers on it. */
export const nodePhaseSchema = z.enum(['in service', 'leaving', 'down']);
export type NodePhase = z.infer<typeof nodePhaseSchema>;

/** What is remembered of a node between two looks. */
export const nodeWatchSchema = z.object({
  phase: nodePhaseSchema,
  /** When it was first seen in this phase; 0 where it was never seen in another than in service. */
  since: z.number(),
  /** When its state last started something. */
  actedAt: z.number().nullable(),
  /** The group that its present phase started; null: none yet. */
  group: z.string().nullable(),
  /** That it is down with containers on it was said. */
  told: z.boolean().default(false),
});
export type NodeWatch = z.infer<typeof nodeWatchSchema>;

export interface NodeLook {
  /** Slurm's flags in lower case. */
  states: readonly string[];
  agentAlive: boolean;
  /** Rank containers on it. */
  containers: number;
  /** When those that left it and still run elsewhere did so. */
  leftAt: readonly number[];
  /** A group empties or fills it now. */
  busy: boolean;
  /** How the group of the present phase stands; null: there was none. */
  ended: 'active' | 'completed' | 'incomplete' | 'cancelled' | null;
}

export interface WatchRules {
  returnOnResume: boolean;
  holdDownMs: number;
}

export type WatchAction = 'evacuate' | 'return' | 'report-lost' | null;

/** A node that could not be emptied is tried again after so many times the hold-down. */
const againAfter = 5;

export function phaseOf(states: readonly string[]): NodePhase | null {
  if (states.length === 0 || states.includes('unknown')) return null;
  if (states.some((state) => /^(down|not_responding|no_respond)/.test(state))) return 'down';
  return states.some((state) => /^(drain|draining|drained|fail|failing|reboot)/.test(state)) ? 'leaving' : 'in service';
}

/**
 * What the state of a node asks for. Triggers and looks come to the same decision, so it does not matter who is first, nor
 * how often somebody asks. Between two things that the state of one node starts, the hold-down passes: a node that flaps
 * starts one evacuation, and the next one only when it still wants it then. One that a person called off is not started
 * again until the node has been in service.
 */
export function watchNode(
  before: NodeWatch | null,
  look: NodeLook,
  { returnOnResume, holdDownMs }: WatchRules,
  now: number,
): { watch: NodeWatch; action: WatchAction } {
  const phase = phaseOf(look.states) ?? before?.phase ?? 'in service';
  const first = { phase, since: now, actedAt: null, group: null, told: false };
  // A node that is in service when it is first seen has not come back: nothing returns to it by itself.
  if (before === null && phase === 'in service') first.since = 0;
  const watch: NodeWatch =
    before === null ? first : before.phase === phase ? before : { ...first, actedAt: before.actedAt };
  const quietMs = watch.actedAt === null ? Number.POSITIVE_INFINITY : now - watch.actedAt;
  const act = (action: WatchAction): { watch: NodeWatch; action: WatchAction } => ({
    watch: { ...watch, actedAt: now },
    action,
  });
  if (look.busy) return { watch, action: null };
  if (phase === 'down') {
    if (look.containers === 0 || look.agentAlive || watch.told || now - watch.since < holdDownMs / 4)
      return { watch, action: null };
    return { watch: { ...watch, told: true }, action: 'report-lost' };
  }
  if (phase === 'leaving') {
    if (look.containers === 0 || look.ended === 'cancelled') return { watch, action: null };
    const pauseMs = look.ended === 'incomplete' ? againAfter * holdDownMs : holdDownMs;
    return quietMs >= pauseMs ? act('evacuate') : { watch, action: null };
  }
  const away = look.leftAt.some((at) => at < watch.since);
  if (!returnOnResume || !away || watch.group !== null || !look.agentAlive) return { watch, action: null };
  return quietMs >= holdDownMs && now - watch.since >= holdDownMs / 4 ? act('return') : { watch, action: null };
}
