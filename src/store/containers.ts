import type { Redis } from 'ioredis';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { type ContainerRecord, containerId, containerRecordSchema } from '../migration/container.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { keyPrefix, script } from './connection.ts';
import { durableScript } from './durable-script.ts';
import { migrationKey } from './migrations.ts';

const key = (id: string) => `${keyPrefix}:container:${id}`;
const all = `${keyPrefix}:containers`;

/** Redis does nothing else meanwhile: for some milliseconds. */
const mostAtOnce = 500;
const rowsSchema = z.preprocess((rows) => (Array.isArray(rows) ? rows : []), z.array(z.record(z.string(), z.string())));

export async function createContainer(redis: Redis, record: ContainerRecord): Promise<void> {
  const { id } = record;
  const fields = Object.entries({ ...record, committed: '' }).flat();
  const created = await script(redis, 'createContainer', key(id), all, id, ...fields);
  if (created === 0) throw new RankshiftError('E_BUSY', `container ${id} exists already`);
}

/** @throws RankshiftError E_INTERNAL for a record that is there and cannot be read: it is not taken for none. */
export async function readContainer(redis: Redis, id: string): Promise<ContainerRecord | null> {
  const fields = await redis.hgetall(key(id));
  return fields['id'] === undefined ? null : parseKnown(id, fields);
}

export async function listContainers(redis: Redis): Promise<ContainerRecord[]> {
  const records = await readContainers(redis, await redis.smembers(all));
  return records.sort((a, b) => a.job - b.job || a.index - b.index);
}

/** Those of these that there are. */
export async function readContainers(redis: Redis, ids: readonly string[]): Promise<ContainerRecord[]> {
  const records: ContainerRecord[] = [];
  for (let first = 0; first < ids.length; first += mostAtOnce) {
    const keys = ids.slice(first, first + mostAtOnce).map(key);
    const rows: unknown = JSON.parse(String(await script(redis, 'readContainers', ...keys)));
    for (const row of rowsSchema.parse(rows)) {
      const record = parse(row);
      if (record !== null) records.push(record);
    }
  }
  return records;
}

/** Where the containers of one job are: of each that there is its index and the node that owns it. */
export async function listPlaces(
  redis: Redis,
  job: number,
  count: number,
): Promise<{ index: number; owner: string }[]> {
  const owners = await Promise.all(
    Array.from({ length: count }, (_, index) => redis.hget(key(containerId(job, index)), 'owner')),
  );
  return owners.flatMap((owner, index) => (owner === null ? [] : [{ index, owner }]));
}

/** The containers of one job. */
export async function listJobContainers(redis: Redis, job: number, count: number): Promise<ContainerRecord[]> {
  return await readContainers(
    redis,
    Array.from({ length: count }, (_, index) => containerId(job, index)),
  );
}

/** Nothing where there is no such container any more. */
export async function setContainerState(redis: Redis, id: string, state: ContainerRecord['state']): Promise<void> {
  await script(redis, 'setContainerState', key(id), state);
}

/** Nothing where the container belongs to another run by now; `run` empty: whatever run. */
export async function removeContainer(redis: Redis, id: string, run: string): Promise<void> {
  await script(redis, 'removeContainer', key(id), all, id, run);
}

export type OpenAnswer = 'open' | 'missing' | 'stale' | 'busy' | 'closed';
export type CommitAnswer = 'committed' | 'aborted' | 'missing';
/** `superseded`: neither; the container has moved on, or another migration may commit now. */
export type AbortAnswer = CommitAnswer | 'superseded';

export interface SwitchIdentity {
  container: string;
  migration: string;
  source: string;
  target: string;
  /** Epoch before the switch. */
  epoch: number;
}

export async function openSwitch(redis: Redis, of: SwitchIdentity): Promise<OpenAnswer> {
  return (await script(redis, 'openSwitch', key(of.container), of.migration, of.source, of.epoch)) as OpenAnswer;
}

/** Whether a migration may still commit, or has. */
export async function switchIsOpen(
  redis: Redis,
  container: string,
  migration: string,
): Promise<'open' | 'committed' | 'closed'> {
  const [open, committed] = await redis.hmget(key(container), 'switch', 'committed');
  return open === migration ? 'open' : committed === migration ? 'committed' : 'closed';
}

/** One try to commit, made durable. An exception means: unknown, ask again. */
export async function commitSwitch(redis: Redis, of: SwitchIdentity): Promise<CommitAnswer> {
  const args = [key(of.container), of.migration, of.source, of.epoch, of.target] as const;
  return (await durableScript(redis, 'commitSwitch', ...args)) as CommitAnswer;
}

/**
 * One try to close the switch for good, made durable. An exception means: unknown, ask again.
 * @param of with the run of the job that the container is of, where the caller has it: its next run has containers of
 * the same names, and nothing to do with this switch ('missing').
 */
export async function abortSwitch(
  redis: Redis,
  of: Pick<SwitchIdentity, 'container' | 'migration' | 'epoch'> & { run?: string },
): Promise<AbortAnswer> {
  const args = [key(of.container), of.migration, of.epoch, of.run ?? ''] as const;
  return (await durableScript(redis, 'abortSwitch', ...args)) as AbortAnswer;
}

/**
 * Takes the lock of a container for one migration, as its driver; E_BUSY names the one that holds it. Again with the node
 * that is being made ready to take it, before anything is done there.
 * @returns the container as it is from then on: nobody else moves it.
 * @throws RankshiftError E_STALE where another one drives the migration by now.
 */
export async function lockContainer(
  redis: Redis,
  id: string,
  { id: migration, driver }: Pick<MigrationRecord, 'id' | 'driver'>,
  heading = '',
): Promise<ContainerRecord> {
  const keys = [key(id), migrationKey(migration)];
  const answer = await script(redis, 'lockContainer', ...keys, migration, driver, heading);
  if (Array.isArray(answer)) {
    const texts = answer.map(String);
    const fields = texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? '']] : []));
    return parseKnown(id, Object.fromEntries(fields));
  }
  if (answer === 'missing') throw new RankshiftError('E_UNKNOWN_CONTAINER', `there is no container ${id}`);
  if (answer === 'stale') {
    throw new RankshiftError('E_STALE', `migration ${migration} is driven by another controller now`);
  }
  throw new RankshiftError('E_BUSY', `container ${id} is moving already (migration ${answer})`);
}

export async function unlockContainer(redis: Redis, id: string, migration: string): Promise<void> {
  await script(redis, 'unlockContainer', key(id), migration);
}

/** @throws RankshiftError E_INTERNAL */
function parseKnown(id: string, fields: Record<string, string>): ContainerRecord {
  const record = parse(fields);
  if (record !== null) return record;
  throw new RankshiftError('E_INTERNAL', `the record of container ${id} cannot be read`, {
    action: 'Are controllers and agents of one release? Nothing was done to the container.',
  });
}

function parse(fields: Record<string, string>): ContainerRecord | null {
  if (fields['id'] === undefined) return null;
  const numbers = ['job', 'index', 'uid', 'epoch', 'moves', 'startedAt'] as const;
  const converted = Object.fromEntries(numbers.map((name) => [name, Number(fields[name])]));
  const parsed = containerRecordSchema.safeParse({ ...fields, ...converted });
  return parsed.success ? parsed.data : null;
}
