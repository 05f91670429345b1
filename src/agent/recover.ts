import { removeLeftovers } from '../network/sweep.ts';
import type { AgentContext } from './context.ts';
import { listLocalContainers, listRoles } from './files.ts';
import { refreshPlaces } from './refresh-places.ts';
import { resolve } from './resolve.ts';

/**
 * After a start: what belongs to no container and no migration goes; every migration that was under way here is settled
 * by the commit record; the forwarding tables of all jobs here are set by the owners in the records.
 */
export async function recover(context: AgentContext): Promise<void> {
  const { config, log } = context;
  const [locals, roles] = await Promise.all([listLocalContainers(config), listRoles(config)]);
  const keep = new Set([...locals.map((local) => local.facts.id), ...roles.map((role) => role.container)]);
  const removed = await removeLeftovers(keep);
  if (removed.length > 0) log.warn({ removed }, 'leftovers removed');
  for (const { migration, role } of roles) {
    log.warn({ migration, role }, 'a migration was under way here: settling it');
    resolve(context, migration).then(
      ({ outcome }) => log.info({ migration, outcome }, 'settled'),
      (error: Error) => log.error({ migration, error: error.message }, 'not settled; the controller asks again'),
    );
  }
  const jobs = new Set(locals.map((local) => local.facts.job));
  for (const job of jobs) {
    refreshPlaces(context, job).catch((error: Error) =>
      log.warn({ job, error: error.message }, 'tables not refreshed'),
    );
  }
}
