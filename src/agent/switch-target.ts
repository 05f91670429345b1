import type { Channel } from '../channel/channel.ts';
import { decideGate, gateReached } from '../checkpoint/gate.ts';
import { migrationDir } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import type { PageServer } from '../pages/page-server.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { within } from '../store/connection.ts';
import { type CommitAnswer, commitSwitch } from '../store/containers.ts';
import { Timeline } from '../telemetry/timeline.ts';
import { answerClock } from './answer-clock.ts';
import type { AgentContext } from './context.ts';
import { type Role, readRole, writeRole } from './files.ts';
import { imageDirOf } from './local-handle.ts';
import { type ToTarget, toTargetSchema } from './messages.ts';
import { receiveImages } from './receive-images.ts';
import { refreshWhereOthersMove } from './refresh-places.ts';
import { gangOf, untilGangReached } from './rendezvous.ts';
import { Restoration } from './restoration.ts';
import { targetError } from './target-error.ts';
import type { TargetSession } from './target-sessions.ts';

const pauseMs = 50;
const questionMs = 3000;
const longestStepMs = 900_000;

/**
 * The target's part of a switch: takes pages, upper directory and metadata, restores up to the gate, commits, opens the
 * gate. From the `restore` message on it needs nothing more of the source. Before its commit every failure ends with the
 * copy destroyed and a refusal; after it nothing may stop the container from running here.
 */
export async function switchTarget(
  context: AgentContext,
  channel: Channel,
  order: SwitchOrder,
  session: TargetSession,
): Promise<void> {
  const { config, node } = context;
  const role = await readRole(config, order.migration);
  if (role === null || role.role !== 'target' || role.epoch !== order.epoch || role.source !== channel.peer) {
    throw new RankshiftError(
      'E_NOT_PERMITTED',
      `${node} is not prepared to take ${order.container} from ${channel.peer}`,
    );
  }
  const timeline = new Timeline(node);
  const directory = migrationDir(config, order.migration);
  const restoration = new Restoration(context, role, timeline);
  try {
    await restoration.arm();
    if (role.lazy && !role.postCopy) session.pagesDone.then(() => restoration.servePages()).catch(() => undefined);
    const { clock, server } = await receive(context, channel, order, session);
    timeline.mark('all received');
    await breakpoint(config, 'target-received');
    const armed: Role = { ...role, clock: { monotonicNs: clock.monotonicNs, boottimeNs: clock.boottimeNs } };
    await writeRole(config, armed);
    await breakpoint(config, 'target-armed');
    await restoration.toGate(armed, server);
    await breakpoint(config, 'target-gate');
    if (order.verify) await timeline.span('verify', () => restoration.verify());
    await restoration.stands();
    const answer = await timeline.span('commit', () => commitUntilKnown(context, order));
    if (answer !== 'committed') {
      throw new RankshiftError(
        answer === 'missing' ? 'E_JOB_ENDED' : 'E_CANCELLED',
        `the switch of ${order.container} was closed: ${answer}`,
      );
    }
  } catch (error) {
    const known = targetError(node, error);
    context.log.warn({ migration: order.migration, error: known.message }, 'the switch failed on the target');
    if (gateReached(directory)) await decideGate(directory, 'refuse');
    await restoration.abandon();
    await channel.send({ op: 'refused', error: known.toJSON() }).catch(() => undefined);
    return;
  }
  // Committed. What fails from here on is done again by finish.ts, which drops the images only when the container ran.
  await breakpoint(config, 'target-committed');
  const gang = gangOf(order);
  await restoration.open(gang === null ? null : (step) => untilGangReached(context, gang, order.migration, step));
  await breakpoint(config, 'target-opened');
  await channel.send({ op: 'committed' }).catch(() => undefined);
  void refreshWhereOthersMove(context, role.facts);
  const view = await restoration.afterwards(order.epoch + 1);
  await breakpoint(config, 'target-running');
  await channel.send({ op: 'running', ...view, timeline: timeline.entries }).catch(() => undefined);
}

type RestoreMessage = Extract<ToTarget, { op: 'restore' }>;

/** Takes messages until the source says that all was sent, then waits until all has arrived. */
async function receive(
  context: AgentContext,
  channel: Channel,
  order: SwitchOrder,
  session: TargetSession,
): Promise<{ clock: RestoreMessage; server: PageServer | null }> {
  const imageDir = imageDirOf(context.config, order.migration);
  const messages = async (): Promise<RestoreMessage> => {
    for (;;) {
      const message = await channel.next(toTargetSchema, { timeoutMs: longestStepMs });
      if (message.op === 'clock') await answerClock(channel);
      if (message.op === 'images') await receiveImages(channel, imageDir, message.files);
      if (message.op === 'restore') return message;
    }
  };
  // A failure of the pages or the upper directory is told at once: the source is frozen and waits.
  const [clock, , server] = await Promise.all([messages(), session.upperDone, session.pagesDone]);
  return { clock, server };
}

/** Tries to commit until the outcome is known: while Redis does not answer, the copy stands at its gate. */
async function commitUntilKnown(context: AgentContext, order: SwitchOrder): Promise<CommitAnswer> {
  const identity = {
    container: order.container,
    migration: order.migration,
    epoch: order.epoch,
    source: order.source.node,
    target: order.target.node,
  };
  for (;;) {
    try {
      return await within(questionMs, commitSwitch(context.redis, identity));
    } catch (error) {
      context.log.warn({ migration: order.migration, error: (error as Error).message }, 'the commit is not known yet');
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
