import { teardownResultSchema } from '../migration/commands.ts';
import { isFinal } from '../migration/machine.ts';
import { readAllocation } from '../store/allocations.ts';
import { abortSwitch, listContainers, removeContainer, setContainerState } from '../store/containers.ts';
import { applyEvent, listActiveMigrations } from '../store/migrations.ts';
import { readRun, removeRun, updateRun } from '../store/runs.ts';
import { stopWaiting } from '../store/turns.ts';
import type { ControllerContext } from './context.ts';
import { settleSoon } from './watch-allocations.ts';

/** A move that is called off ends within seconds, unless an agent is away. */
const movesMs = 20_000;
const pauseMs = 50;

/**
 * Ends the run of a job: every rank container is removed from its node, wherever it moved to, then the records.
 * A migration under way is called off first. What a dead agent keeps, it removes itself when it comes back, since the
 * records say that the container is no more. Idempotent.
 * @returns containers that had died before, and on which node. Not container 0: its end is the program's own.
 */
export async function endRun(context: ControllerContext, job: number): Promise<{ id: string; node: string }[]> {
  const { redis, log } = context;
  const run = await readRun(redis, job);
  if (run !== null) await updateRun(redis, { ...run, state: 'ending' });
  await endMoves(context, job);
  const containers = (await listContainers(redis)).filter((container) => container.job === job);
  const lost: { id: string; node: string }[] = [];
  await Promise.all(
    containers.map(async ({ id, index, owner }) => {
      await setContainerState(redis, id, 'ended');
      try {
        const options = { timeoutMs: 30_000, container: id };
        const answer = await context.commands.send(owner, 'teardown', { container: id }, options);
        if (!teardownResultSchema.parse(answer).alive && index > 0) lost.push({ id, node: owner });
      } catch (error) {
        log.warn(
          { container: id, node: owner, error: (error as Error).message },
          'not removed from its node; its agent will',
        );
      }
      await removeContainer(redis, id);
    }),
  );
  await removeRun(redis, job);
  if ((await readAllocation(redis, job)) !== null) await settleSoon(context, job);
  if (run !== null) log.info({ job, lost }, 'run ended');
  return lost;
}

/**
 * Calls the moves of a job off, also in the middle of a switch, and waits for their end: only then it is certain on which
 * nodes its containers are, and none is taken apart while CRIU works on it.
 */
async function endMoves(context: ControllerContext, job: number): Promise<void> {
  const { redis, log } = context;
  const moves = async () => {
    const active = await listActiveMigrations(redis);
    return active.filter((record) => record.job === job && !isFinal(record.state));
  };
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
