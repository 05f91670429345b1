import { randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { within } from '../store/connection.ts';
import { readIdentity } from '../store/identity.ts';
import type { AgentContext } from './context.ts';
import { listLocalContainers, listRoles } from './files.ts';

type Needed = Pick<AgentContext, 'config' | 'redis' | 'log'>;

const questionMs = 3000;

/**
 * Whether Redis has the records under which the containers of this node were started. Where it came back without them (its
 * files were lost, or it is another one), that it knows no container is no word of an end: nothing is removed for it.
 * @throws RankshiftError E_REDIS where it does not answer.
 */
export async function recordsAreOurs({ config, redis, log }: Needed): Promise<boolean> {
  const [known, now] = await Promise.all([readKnown(config), within(questionMs, readIdentity(redis))]);
  if (known === null && now !== null) await writeKnown(config, now);
  if (known === null || known === now) return true;
  log.error(
    { known, now },
    'Redis does not have the records of the containers here: none is removed. Give Redis its files back; or end the ' +
      `jobs, remove ${fileOf(config)} and start this agent again, which then removes what no record knows`,
  );
  return false;
}

/** While nothing is here that older records know, those that Redis has now are taken for ours. Never throws. */
export async function takeRecords({ config, redis, log }: Needed): Promise<void> {
  try {
    const [locals, roles] = await Promise.all([listLocalContainers(config), listRoles(config)]);
    if (locals.length > 0 || roles.length > 0) return;
    const [known, now] = await Promise.all([readKnown(config), within(questionMs, readIdentity(redis))]);
    if (now !== null && now !== known) await writeKnown(config, now);
  } catch (error) {
    log.warn({ error: (error as Error).message }, 'the name of the records in Redis was not noted yet');
  }
}

const fileOf = (config: AgentContext['config']) => join(config.stateDir, 'records');

async function readKnown(config: AgentContext['config']): Promise<string | null> {
  try {
    return await readFile(fileOf(config), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function writeKnown(config: AgentContext['config'], identity: string): Promise<void> {
  // Several containers may be started at the same time.
  const draft = `${fileOf(config)}.${randomUUID()}`;
  await writeFile(draft, identity, { mode: 0o600, flush: true });
  await rename(draft, fileOf(config));
}
