import type { Channel } from '../channel/channel.ts';
import { thaw } from '../container/runtime.ts';
import { RankshiftError } from '../errors.ts';
import type { ContainerFacts, SwitchOrder } from '../migration/commands.ts';
import { release } from '../network/hold.ts';
import { stopPageSenders } from '../pages/page-senders.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { within } from '../store/connection.ts';
import type { Timeline } from '../telemetry/timeline.ts';
import { closeSwitch } from './close-switch.ts';
import type { AgentContext } from './context.ts';
import { removeCriuLock } from './criu-lock.ts';
import { readLocalContainer, readRole } from './files.ts';
import { describeLocal, type LocalHandle } from './local-handle.ts';
import { releaseRanks } from './quiesce.ts';
import { refreshPeers } from './refresh-places.ts';
import { removeContainer } from './remove-container.ts';
import { repointPeers } from './repoint-peers.ts';

/** A peer that cannot be told in time asks the records by itself; the ranks are frozen meanwhile. */
const tellMs = 2000;

export interface SettleOptions {
  /** Pages may have been left behind: what sends them must not be cut off from the container, nor outlive its thaw. */
  postCopy: boolean;
  /** The target gave its word that it will never commit, which is a decision by itself. */
  refused: boolean;
  /** A committed container is removed beside what the caller does next; finish.ts waits for it. */
  soon?: boolean;
  /** Channels to the peers' agents, where the switch had them open. */
  peers?: Channel[];
  timeline?: Timeline;
}

/**
 * Closes the switch and does what was decided: the frozen container runs on here (aborted), or it is removed (committed).
 * Nothing moves before the decision is known: while Redis does not answer, the container stays frozen and held.
 */
export async function settleSource(
  context: AgentContext,
  order: Pick<SwitchOrder, 'migration' | 'container' | 'epoch'> & { facts: Pick<ContainerFacts, 'run'> },
  { refused, postCopy, soon, peers, timeline }: SettleOptions,
): Promise<'committed' | 'rolled-back'> {
  const decision = closeSwitch(context, order);
  decision.catch(() => undefined);
  const answer = refused ? 'aborted' : await decision;
  if (answer === 'aborted') {
    const handle = await stillHere(context, order.migration);
    if (handle !== null && postCopy) await stopPageSenders(handle.cgroup);
    if (handle !== null) await resume(context, handle, peers);
    timeline?.mark('running on the source again');
    // Only a switch that Redis knows to be closed may be forgotten here.
    await decision;
    return 'rolled-back';
  }
  if (answer === 'superseded') {
    // A later migration has the say over what is here; this one was aborted before it began.
    context.log.warn({ ...order }, 'the container has moved on since');
    return 'rolled-back';
  }
  if (answer === 'missing' && (await isOfLaterRun(context, order))) return 'rolled-back';
  // Committed; or the records are gone because the job ended, and so is what is left of it here.
  const outcome = answer === 'committed' ? 'committed' : 'rolled-back';
  // Frozen for good, its port held: finish.ts removes it when the target has all of it.
  const removed = remove(context, order.container, { needed: postCopy && outcome === 'committed' });
  if (soon !== true || outcome === 'rolled-back') await removed;
  else {
    const { migration } = order;
    removed.catch((error: Error) => context.log.warn({ migration, error: error.message }, 'not removed yet'));
  }
  return outcome;
}

async function remove(context: AgentContext, container: string, { needed }: { needed: boolean }): Promise<void> {
  await breakpoint(context.config, 'source-removing');
  if (!needed) await removeContainer(context, container);
}

/** What is here under the container's name is of the job's next run already: Slurm has requeued it. */
async function isOfLaterRun(
  { config }: AgentContext,
  { container, facts }: { container: string; facts: Pick<ContainerFacts, 'run'> },
): Promise<boolean> {
  const local = await readLocalContainer(config, container);
  return local !== null && local.facts.run !== facts.run;
}

/** The container to resume; null where it has ended meanwhile, with its job. */
async function stillHere(context: AgentContext, migration: string): Promise<LocalHandle | null> {
  const role = await readRole(context.config, migration);
  if (role === null) return null;
  try {
    return await describeLocal(context, role.facts);
  } catch (error) {
    if (RankshiftError.from(error).code !== 'E_JOB_ENDED') throw error;
    return null;
  }
}

/** Back to work on the source: the tables first, then the port, then the ranks. */
async function resume(context: AgentContext, handle: LocalHandle, peers: Channel[] | undefined): Promise<void> {
  await removeCriuLock(handle.identity.netns);
  const told = peers === undefined ? refreshPeers(context, handle.facts) : repointPeers(handle, peers, null);
  await within(tellMs, told).catch((error: Error) =>
    context.log.warn({ error: error.message }, 'a peer was not told; it asks the records itself'),
  );
  await breakpoint(context.config, 'source-resuming');
  await release(handle.identity);
  await releaseRanks(handle.rootfs).catch((error: Error) =>
    context.log.warn({ error: error.message }, 'parked ranks were not released; they go on by themselves'),
  );
  await thaw(handle.cgroup);
}
