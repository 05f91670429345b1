import { existsSync } from 'node:fs';
import { containerDir } from '../config.ts';
import { findInit } from '../container/find-init.ts';
import { readExit } from '../container/output.ts';
import type { Report } from '../migration/reports.ts';
import { within } from '../store/connection.ts';
import { readContainer } from '../store/containers.ts';
import type { AgentContext } from './context.ts';
import { type LocalContainer, listLocalContainers, listRoles } from './files.ts';
import { recordsAreOurs, takeRecords } from './our-records.ts';
import { refreshPlaces } from './refresh-places.ts';
import { removeContainer } from './remove-container.ts';
import { sweepRoles } from './sweep-roles.ts';

const watchMs = 1000;
/** Every so many rounds the records are asked whether the containers here still exist, and where their peers are. */
const sweepRounds = 10;

/** Notices containers that ended, and removes those that no record knows any more or that another node owns. */
export function watchContainers(context: AgentContext): void {
  const pids = new Map<string, number>();
  const reported = new Set<string>();
  let round = 0;
  let busy = false;
  const look = async () => {
    const locals = await listLocalContainers(context.config);
    const moving = new Set((await listRoles(context.config)).map((role) => role.container));
    round++;
    for (const local of locals) {
      // What a move stops, kills or removes here has not ended.
      if (moving.has(local.facts.id)) continue;
      await noticeEnd(context, local, pids, reported);
      if (round % sweepRounds === 0) await removeIfForgotten(context, local);
    }
    if (round % sweepRounds !== 0) return;
    if (locals.length === 0) await takeRecords(context);
    await sweepRoles(context);
    // A peer that could not be told of a move, because the link to it was cut, learns of it here.
    for (const job of new Set(locals.map((local) => local.facts.job))) {
      await within(3000, refreshPlaces(context, job));
    }
  };
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    look()
      .catch((error: Error) => context.log.debug({ error: error.message }, 'watching containers'))
      .finally(() => {
        busy = false;
      });
  }, watchMs);
  context.stopping.addEventListener('abort', () => clearInterval(timer));
}

export async function noticeEnd(
  context: Pick<AgentContext, 'config' | 'node' | 'reports'>,
  { facts }: LocalContainer,
  pids: Map<string, number>,
  reported: Set<string>,
): Promise<void> {
  const { config, node } = context;
  const key = `${facts.id}/${facts.run}`;
  const known = pids.get(key);
  if (reported.has(key) || (known !== undefined && existsSync(`/proc/${known}`))) return;
  const pid = await findInit(facts.job, facts.index);
  if (pid !== null) {
    pids.set(key, pid);
    return;
  }
  const exit = await readExit(containerDir(config, facts.id));
  await context.reports.add('report', {
    type: 'container-ended',
    node,
    container: facts.id,
    run: facts.run,
    exit,
  } satisfies Report);
  // Only now: where Redis was away it is told at the next look.
  reported.add(key);
}

/** What is not ours by the records must not run here. Only a clear answer of Redis counts. */
async function removeIfForgotten(context: AgentContext, { facts, epoch }: LocalContainer): Promise<void> {
  const roles = await listRoles(context.config);
  if (roles.some((role) => role.container === facts.id)) return;
  const record = await within(3000, readContainer(context.redis, facts.id));
  // After a requeue the job's next run has containers of the same name, elsewhere perhaps.
  const current = record !== null && (record.run === '' || record.run === facts.run);
  if (current && (record.owner === context.node || record.epoch <= epoch)) return;
  if (!(await recordsAreOurs(context))) return;
  context.log.warn(
    { container: facts.id },
    record === null
      ? 'no record knows this container: removed'
      : current
        ? 'another node owns this container: removed'
        : 'the job has another run by now: removed',
  );
  await removeContainer(context, facts.id);
}
