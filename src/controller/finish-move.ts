import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { type CommandPayload, type FinishResult, finishResultSchema } from '../migration/commands.ts';
import { costSample } from '../migration/estimate.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { mayLeavePages } from '../migration/strategy-kind.ts';
import { addCostSample } from '../store/costs.ts';
import { type Apply, waiting } from './apply.ts';
import type { ControllerContext } from './context.ts';
import { untilDone } from './settle.ts';
import { settleSoon } from './watch-allocations.ts';

/** A move does not wait longer for Slurm to know of it. */
const slurmMs = 3000;

/** After the commit: the source is cleared, the target drops what it needed for the restore. Nothing can go back. */
export async function finishMove(context: ControllerContext, record: MigrationRecord, apply: Apply): Promise<void> {
  const { id, container, source, target } = record;
  const reasons = new Map<string, string>();
  let over = false;
  const finish = async (node: string | null) => {
    if (node === null) return;
    const wait = async (reason: string | null) => {
      if (reason === null) reasons.delete(node);
      else reasons.set(node, reason);
      if (!over) await waiting(apply)(reasons.size === 0 ? null : [...reasons.values()].join('; '));
    };
    const { outcome, reason } = await untilFinished(context, node, { migration: id, container }, wait);
    if (outcome === 'lost') throw lostError(container, node, reason);
  };
  try {
    // What was left behind is on the source until the target has all of it; else neither needs the other any more.
    if (mayLeavePages(record.plan?.strategy ?? 'post-copy')) {
      await finish(target);
      await finish(source);
    } else {
      const clearing = finish(source);
      clearing.catch(() => undefined);
      // A loss is told at once, however long the other takes.
      await finish(target);
      await clearing;
    }
  } catch (error) {
    over = true;
    const known = RankshiftError.from(error);
    if (known.code !== 'E_LOST') throw error;
    await apply({ type: 'lost', at: Date.now(), error: known.toJSON() });
    await clearLost(context, record, [target, source]);
    return;
  }
  if (context.config.allocationFollow !== 'none') {
    const settled = settleSoon(context, record.job, id);
    const late = sleep(slurmMs, [`Slurm takes long: the allocation of job ${record.job} is settled later`]);
    await apply({ type: 'allocation', at: Date.now(), notes: await Promise.race([settled, late]) });
  }
  // What --verify costs says nothing of other moves.
  const sample = record.result?.verified == null ? costSample(record, Date.now()) : null;
  if (sample !== null) await addCostSample(context.redis, sample);
  await apply({ type: 'finished', at: Date.now() });
}

/** As long as it answers that memory still comes, this takes as long as it takes. */
async function untilFinished(
  context: ControllerContext,
  node: string,
  payload: CommandPayload<'finish'>,
  wait: (reason: string | null) => Promise<void>,
): Promise<FinishResult> {
  for (;;) {
    const answer = finishResultSchema.parse(await untilDone(context, node, 'finish', payload, wait));
    if (answer.outcome !== 'filling') return answer;
    if (context.stopping.aborted) throw new Error('the controller stops');
  }
}

function lostError(container: string, node: string, reason: string | null): RankshiftError {
  const message = `container ${container} was lost on ${node}: ${reason ?? 'its memory could not be had any more'}`;
  const action = 'The job has lost its ranks there and ends; start it again, from its own checkpoint if it has one.';
  return new RankshiftError('E_LOST', message, { phase: 'finishing', action });
}

/** What is left of a lost container; the nodes do it by themselves too, some seconds later. */
async function clearLost(
  context: ControllerContext,
  { id, container }: MigrationRecord,
  nodes: (string | null)[],
): Promise<void> {
  const payload = { migration: id, container, ended: true };
  const clear = (node: string) => untilDone(context, node, 'finish', payload, async () => undefined, 5000);
  await Promise.allSettled(nodes.filter((node) => node !== null).map(clear));
}
