import { teardownResultSchema } from '../migration/commands.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { isFinal } from '../migration/machine.ts';
import { readAllocation } from '../store/allocations.ts';
import { abortSwitch, removeContainer, setContainerState } from '../store/containers.ts';
import { applyEvent, listMovesOf } from '../store/migrations.ts';
import { type RunRecord, readRun, removeRun, updateRun } from '../store/runs.ts';
import { stopWaiting } from '../store/turns.ts';
import type { ControllerContext } from './context.ts';
import { containersOfJob } from './places.ts';
import { settleSoon } from './watch-allocations.ts';

/** A move that is called off ends within seconds, unless an agent is away. */
const movesMs = 20_000;
const pauseMs = 50;

const ending = new Map<string, Promise<Lost[]>>();

interface Lost {
  id: string;
  node: string;
}

/**
 * Ends the run of a job: every rank container is removed from its node, wherever it moved to, then the records.
 * A migration under way is called off first. What a dead agent keeps, it removes itself when it comes back, since the
 * records say that the container is no more. Idempotent; a run that the job has begun meanwhile is left alone.
 * @param only the run that is to end; without it the one that the job has now
 * @returns containers that had died before, and on which node. Not container 0: its end is the program's own.
 */
export async function endRun(context: ControllerContext, job: number, only?: string): Promise<Lost[]> {
  const run = await readRun(context.redis, job);
  if (only !== undefined && run?.run !== only) return [];
  // One that is being ended already is waited for.
  const key = `${job} ${run?.run ?? ''}`;
  const begun = ending.get(key) ?? endThis(context, job, run).finally(() => ending.delete(key));
  ending.set(key, begun);
  return await begun;
}

async function endThis(context: ControllerContext, job: number, run: RunRecord | null): Promise<Lost[]> {
  const { redis, log } = context;
  if (run !== null) await updateRun(redis, { ...run, state: 'ending' });
  const ofJob = async () => await containersOfJob(context, job);
  await endMoves(context, job, await ofJob());
  const containers = (await ofJob()).filter((container) => run === null || ['', run.run].includes(container.run));
  const lost: Lost[] = [];
  await Promise.all(
    containers.map(async ({ id, index, owner, run: of }) => {
      await setContainerState(redis, id, 'ended');
      try {
        const options = { timeoutMs: 30_000, container: id };
        const answer = await context.commands.send(
          owner,
          'teardown',
          { container: id, ...(of === '' ? {} : { run: of }) },
          options,
        );
        if (!teardownResultSchema.parse(answer).alive && index > 0) lost.push({ id, node: owner });
      } catch (error) {
        log.warn(
          { container: id, node: owner, error: (error as Error).message },
          'not removed from its node; its agent will',
        );
      }
      await removeContainer(redis, id, of);
    }),
  );
  await removeRun(redis, job, run?.run ?? '');
  if ((await readAllocation(redis, job)) !== null) await settleSoon(context, job);
  if (run !== null) log.info({ job, lost }, 'run ended');
  return lost;
}

/**
 * Calls the moves of a job off, also in the middle of a switch, and waits for their end: only then it is certain on which
 * nodes its containers are, and none is taken apart while CRIU works on it.
 */
async function endMoves(
  context: ControllerContext,
  job: number,
  containers: readonly Pick<ContainerRecord, 'id'>[],
): Promise<void> {
  const { redis, log } = context;
  const ids = containers.map(({ id }) => id);
  const moves = async () => (await listMovesOf(redis, ids)).filter(({ state }) => !isFinal(state));
  for (const { id } of await moves()) {
    const { state, epoch, container } = await applyEvent(redis, id, { type: 'cancel-requested', at: Date.now() });
    await stopWaiting(redis, id);
    if (['copying', 'switching'].includes(state) && epoch !== null)
      await abortSwitch(redis, { container, migration: id, epoch });
  }
  const deadline = Date.now() + movesMs;
  for (let left = await moves(); left.length > 0; left = await moves()) {
    if (Date.now() > deadline) {
      log.warn({ job, migrations: left.map(({ id }) => id) }, 'moves of an ended job did not end in time');
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
