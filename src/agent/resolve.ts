import { decideGate, gateLog } from '../checkpoint/gate.ts';
import { migrationDir } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import type { ResolveResult } from '../migration/commands.ts';
import { release } from '../network/hold.ts';
import { overlayIdentity } from '../network/identity.ts';
import { killPageServers, markLost } from '../pages/page-server.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { Timeline } from '../telemetry/timeline.ts';
import { closeSwitch } from './close-switch.ts';
import type { AgentContext } from './context.ts';
import { exclusively } from './exclusively.ts';
import { listRoles, type Role, readLocalContainer, readRole, readSwitchResult, writeLocalContainer } from './files.ts';
import { workDirOf } from './local-handle.ts';
import { unmountMigration } from './migration-dir.ts';
import { removeContainer } from './remove-container.ts';
import { Restoration } from './restoration.ts';
import { settleSource } from './settle-source.ts';
import { untilCriuEnded } from './until-criu-ended.ts';

/**
 * Brings this node in line with the commit record for one migration, whatever was under way here when its conductor
 * died. Idempotent; asks Redis until it answers. A switch that this very process still conducts is waited for.
 */
export async function resolve(context: AgentContext, migration: string): Promise<ResolveResult> {
  return exclusively(context, migration, async () => {
    const role = await readRole(context.config, migration);
    if (role === null) return { outcome: 'nothing-here', result: null };
    const outcome = await (role.role === 'source' ? resolveSource(context, role) : resolveTarget(context, role));
    return { outcome, result: outcome === 'committed' ? await readSwitchResult(context.config, migration) : null };
  });
}

/**
 * Settles what other migrations of a container left here, before a new one begins: theirs may not touch the container
 * any more once it has. Waits for one that is still under way.
 */
export async function settleOthers(context: AgentContext, container: string, migration: string): Promise<void> {
  for (const role of await listRoles(context.config)) {
    if (role.container !== container || role.migration === migration) continue;
    context.log.warn({ migration: role.migration, before: migration }, 'an earlier migration is settled first');
    const { outcome } = await resolve(context, role.migration);
    // Nobody will ask for the rest: whoever drove it gave it up.
    if (outcome === 'committed') await unmountMigration(context.config, role.migration);
  }
}

async function resolveSource(context: AgentContext, role: Role): Promise<'committed' | 'rolled-back'> {
  await untilCriuEnded(context, role, null);
  const outcome = await settleSource(context, role, { refused: false, postCopy: role.postCopy });
  if (outcome === 'rolled-back') await unmountMigration(context.config, role.migration);
  return outcome;
}

async function resolveTarget(context: AgentContext, role: Role): Promise<'committed' | 'rolled-back'> {
  const { config } = context;
  // Without clock offsets the restore never began, so nothing here can have tried to commit.
  const answer = role.clock === null ? 'aborted' : await closeSwitch(context, role);
  if (answer === 'committed') {
    await breakpoint(config, 'target-resolving');
    await bringUp(context, role);
    return 'committed';
  }
  await untilCriuEnded(context, role, 'refuse');
  await breakpoint(config, 'target-clearing');
  await killPageServers(workDirOf(config, role.migration));
  const local = await readLocalContainer(config, role.container);
  if (local === null) await removeContainer(context, role.container);
  await unmountMigration(config, role.migration);
  return 'rolled-back';
}

/** The container is this node's by the record: it must run here, unless it has run and ended already. */
async function bringUp(context: AgentContext, role: Role): Promise<void> {
  const { config } = context;
  const directory = migrationDir(config, role.migration);
  const resumed = () => gateLog(directory).then((log) => log.has('post-resume'));
  const identity = overlayIdentity(role.facts.job, role.facts.index, config);
  if (!(await resumed())) {
    // Only where CRIU stands there: without sockets the node would answer the peers with RST, and what those of a copy
    // that never runs acknowledged, the peers would not send again.
    if (await decideGate(directory, 'open')) await release(identity);
    // A restore that an earlier agent began stands at its gate, or comes there; two at a time would destroy each other.
    await untilCriuEnded(context, role, 'open');
    if (!(await resumed())) await restoreAgain(context, role);
  }
  // An agent may have died between the gate and the port; a container that has ended meanwhile has none any more.
  await release(identity).catch(() => undefined);
  await writeLocalContainer(config, { facts: role.facts, epoch: role.epoch + 1 });
}

/** A container whose memory was left behind and can be had no more is this node's all the same, and has ended. */
async function restoreAgain(context: AgentContext, role: Role): Promise<void> {
  const restoration = new Restoration(context, role, new Timeline(context.node));
  try {
    await restoration.again();
    await restoration.untilRunning();
  } catch (error) {
    const known = RankshiftError.from(error);
    if (known.code !== 'E_LOST') throw error;
    context.log.error({ migration: role.migration, error: known.message }, 'the container is lost');
    await markLost(workDirOf(context.config, role.migration));
  }
}
