import { removeLeftovers } from '../network/sweep.ts';
import type { AgentContext } from './context.ts';
import { dropBrokenFetches } from './fetch-layers.ts';
import { listLocalContainers, listRoles } from './files.ts';
import { unmountMigration } from './migration-dir.ts';
import { listOrphans } from './orphans.ts';
import { refreshPlaces } from './refresh-places.ts';
import { removeContainer } from './remove-container.ts';
import { resolve } from './resolve.ts';
import { killLeftShells } from './shells.ts';

const firstPauseMs = 500;
const longestPauseMs = 15_000;

/**
 * After a start: what belongs to no container and no migration goes; every migration that was under way here is settled
 * by the commit record; the forwarding tables of all jobs here are set by the owners in the records.
 */
export async function recover(context: AgentContext): Promise<void> {
  const { config, log } = context;
  await dropBrokenFetches(context);
  const [locals, roles] = await Promise.all([listLocalContainers(config), listRoles(config)]);
  const keep = new Set([...locals.map((local) => local.facts.id), ...roles.map((role) => role.container)]);
  const orphans = await listOrphans(config, keep, new Set(roles.map((role) => role.migration)));
  for (const container of orphans.containers) await removeContainer(context, container);
  for (const migration of orphans.migrations) await unmountMigration(config, migration);
  // Whoever was at them went with the agent.
  for (const { facts } of locals) await killLeftShells(facts);
  const removed = [...orphans.containers, ...orphans.migrations, ...(await removeLeftovers(keep))];
  if (removed.length > 0) log.warn({ removed }, 'leftovers removed');
  for (const { migration, role } of roles) {
    log.warn({ migration, role }, 'a migration was under way here: settling it');
    void settleUntilDone(context, migration);
  }
  const jobs = new Set(locals.map((local) => local.facts.job));
  for (const job of jobs) {
    refreshPlaces(context, job).catch((error: Error) =>
      log.warn({ job, error: error.message }, 'tables not refreshed'),
    );
  }
}

/** Nobody else may ask for it: the migration may have been given up while this agent was away. */
async function settleUntilDone(context: AgentContext, migration: string): Promise<void> {
  const { log, stopping } = context;
  for (let pauseMs = firstPauseMs; !stopping.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      const { outcome } = await resolve(context, migration);
      log.info({ migration, outcome }, 'settled');
      return;
    } catch (error) {
      log.error({ migration, error: (error as Error).message }, 'not settled yet');
    }
    await new Promise((done) => setTimeout(done, pauseMs).unref());
  }
}
