import { decideGate, gateLog, gateReached } from '../checkpoint/gate.ts';
import { migrationDir } from '../config.ts';
import type { ResolveResult } from '../migration/commands.ts';
import { release } from '../network/hold.ts';
import { overlayIdentity } from '../network/identity.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { within } from '../store/connection.ts';
import { readContainer } from '../store/containers.ts';
import { Timeline } from '../telemetry/timeline.ts';
import type { AgentContext } from './context.ts';
import { type Role, readLocalContainer, readRole, writeLocalContainer } from './files.ts';
import { unmountMigration } from './migration-dir.ts';
import { removeContainer } from './remove-container.ts';
import { Restoration } from './restoration.ts';
import { settleSource } from './settle-source.ts';
import { untilCriuEnded } from './until-criu-ended.ts';

const pauseMs = 200;
const questionMs = 3000;

/**
 * Brings this node in line with the commit record for one migration, whatever was under way here when its conductor
 * died. Idempotent; asks Redis until it answers. A switch that this very process still conducts is waited for.
 */
export async function resolve(context: AgentContext, migration: string): Promise<ResolveResult> {
  const running = context.operations.get(migration);
  if (running !== undefined) await running.catch(() => undefined);
  const role = await readRole(context.config, migration);
  if (role === null) return { outcome: 'nothing-here' };
  const work = role.role === 'source' ? resolveSource(context, role) : resolveTarget(context, role);
  context.operations.set(migration, work);
  try {
    return { outcome: await work };
  } finally {
    context.operations.delete(migration);
  }
}

async function resolveSource(context: AgentContext, role: Role): Promise<'committed' | 'rolled-back'> {
  await untilCriuEnded(context, role);
  const outcome = await settleSource(context, role, { refused: false });
  if (outcome === 'rolled-back') await unmountMigration(context.config, role.migration);
  return outcome;
}

async function resolveTarget(context: AgentContext, role: Role): Promise<'committed' | 'rolled-back'> {
  const { config, node } = context;
  const record = await readUntilKnown(context, role.container);
  // Only this agent can commit for this node, and nothing of it is under way: the record cannot change under us.
  const mine = record !== null && record.owner === node && record.epoch > role.epoch;
  if (!mine) {
    await decideGate(migrationDir(config, role.migration), 'refuse');
    context.pageServers.get(role.migration)?.kill();
    context.pageServers.delete(role.migration);
    await untilCriuEnded(context, role);
    const local = await readLocalContainer(config, role.container);
    if (local === null) await removeContainer(context, role.container);
    await unmountMigration(config, role.migration);
    return 'rolled-back';
  }
  await breakpoint(config, 'target-resolving');
  await bringUp(context, role, record.epoch);
  return 'committed';
}

/** The container is this node's by the record: it must run here. */
async function bringUp(context: AgentContext, role: Role, epoch: number): Promise<void> {
  const { config } = context;
  const directory = migrationDir(config, role.migration);
  const restoration = new Restoration(context, role, new Timeline(context.node));
  const resumed = () => gateLog(directory).then((log) => log.has('post-resume'));
  if (!(await resumed())) {
    await release(overlayIdentity(role.facts.job, role.facts.index, config));
    const waited = gateReached(directory) && (await decideGate(directory, 'open'));
    if (waited) await untilCriuEnded(context, role);
    if (!(await resumed())) {
      await restoration.again();
      await restoration.untilRunning();
    }
  }
  await writeLocalContainer(config, { facts: role.facts, epoch });
}

async function readUntilKnown(context: AgentContext, container: string): ReturnType<typeof readContainer> {
  for (;;) {
    try {
      return await within(questionMs, readContainer(context.redis, container));
    } catch (error) {
      context.log.warn({ container, error: (error as Error).message }, 'the owner is not known yet');
      if (context.stopping.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
