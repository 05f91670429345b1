import { isFinal } from '../migration/machine.ts';
import { listContainers, removeContainer, setContainerState } from '../store/containers.ts';
import { applyEvent, listActiveMigrations } from '../store/migrations.ts';
import { readRun, removeRun, updateRun } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';

/**
 * Ends the run of a job: every rank container is removed from its node, wherever it moved to, then the records.
 * A migration under way is called off first. What a dead agent keeps, it removes itself when it comes back, since the
 * records say that the container is no more. Idempotent.
 */
export async function endRun(context: ControllerContext, job: number): Promise<void> {
  const { redis, log } = context;
  const run = await readRun(redis, job);
  if (run !== null) await updateRun(redis, { ...run, state: 'ending' });
  await cancelMoves(context, job);
  const containers = (await listContainers(redis)).filter((container) => container.job === job);
  await Promise.all(
    containers.map(async ({ id, owner }) => {
      await setContainerState(redis, id, 'ended');
      try {
        await context.commands.send(owner, 'teardown', { container: id }, { timeoutMs: 30_000, container: id });
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
  if (run !== null) log.info({ job }, 'run ended');
}

async function cancelMoves(context: ControllerContext, job: number): Promise<void> {
  const active = (await listActiveMigrations(context.redis)).filter(
    (record) => record.job === job && !isFinal(record.state),
  );
  for (const { id } of active) await applyEvent(context.redis, id, { type: 'cancel-requested', at: Date.now() });
}
