import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { RankshiftError } from '../errors.ts';
import { gangOf } from '../migration/gang.ts';
import { isFinal, type MigrationEvent, newMigration, reduce } from '../migration/machine.ts';
import { type MigrationRecord, migrationRecordSchema } from '../migration/record.ts';
import { activeKey, keyPrefix, script } from './connection.ts';
import { joinGang } from './gangs.ts';

export const migrationKey = (id: string) => `${keyPrefix}:migration:${id}`;
const key = migrationKey;
const sequence = `${keyPrefix}:migration-sequence`;
/** Set of those of one container that have not come to their end. */
const movesOf = (container: string) => `${keyPrefix}:moves:${container}`;
const byTime = `${keyPrefix}:migrations`;

/** Longer than a client goes on to send a command whose answer it has not had. */
const rememberedMs = 600_000;

/** Of a migration without a number, as JSON: the first of its members of that name. A quote inside a text is escaped. */
const idMember = '"id":""';

/** How many finished migrations are kept; a hundred more until the oldest are forgotten together. */
export const keptMigrations = 10_000;
const forgottenAtOnce = 100;

export async function createMigration(
  redis: Redis,
  fields: Pick<MigrationRecord, 'container' | 'job' | 'requestedBy' | 'request'> &
    Partial<Pick<MigrationRecord, 'owner'>>,
): Promise<MigrationRecord> {
  const unnumbered = newMigration({ id: '', ...fields }, Date.now());
  const text = JSON.stringify(unnumbered);
  const at = text.indexOf(idMember) + idMember.length - 1;
  const texts = [text.slice(0, at), text.slice(at)];
  const keys = [sequence, byTime, activeKey, movesOf(fields.container), `${keyPrefix}:created:${randomUUID()}`];
  const args = [key(''), ...texts, unnumbered.createdAt, rememberedMs];
  const id = String(await script(redis, 'createRecord', ...keys, ...args));
  if (id === '')
    throw new RankshiftError('E_INTERNAL', 'the next migration exists already: was Redis restored in part?');
  const record = { ...unnumbered, id };
  const gang = gangOf(record);
  if (gang !== null) await joinGang(redis, gang, id);
  if (Number(id) % forgottenAtOnce === 0) await forgetOldest(redis);
  return record;
}

export async function readMigration(redis: Redis, id: string): Promise<MigrationRecord> {
  const text = await redis.get(key(id));
  if (text === null) throw new RankshiftError('E_UNKNOWN_MIGRATION', `there is no migration ${id}`);
  return migrationRecordSchema.parse(JSON.parse(text));
}

/** Newest first. */
export async function listMigrations(redis: Redis, limit: number): Promise<MigrationRecord[]> {
  return readMany(redis, await redis.zrevrange(byTime, 0, limit - 1));
}

const pageOfRecords = 200;

/** All that were asked for until then, oldest first, a page at a time. */
export async function* migrationsUntil(redis: Redis, untilMs: number): AsyncGenerator<MigrationRecord> {
  yield* inPages(redis, await redis.zrangebyscore(byTime, '-inf', untilMs));
}

/** All that were asked for since then, oldest first, a page at a time. */
export async function* migrationsSince(redis: Redis, sinceMs: number): AsyncGenerator<MigrationRecord> {
  yield* inPages(redis, await redis.zrangebyscore(byTime, sinceMs, '+inf'));
}

async function* inPages(redis: Redis, ids: string[]): AsyncGenerator<MigrationRecord> {
  for (let at = 0; at < ids.length; at += pageOfRecords)
    yield* await readMany(redis, ids.slice(at, at + pageOfRecords));
}

/** How many have not come to their end. */
export async function countActiveMigrations(redis: Redis): Promise<number> {
  return await redis.scard(activeKey);
}

/** Those of one container that have not come to their end and were asked for before this one, oldest first. */
export async function listMovesBefore(redis: Redis, container: string, before: string): Promise<MigrationRecord[]> {
  const ids = (await redis.smembers(movesOf(container))).filter((id) => Number(id) < Number(before));
  return await readMany(
    redis,
    ids.sort((a, b) => Number(a) - Number(b)),
  );
}

/** Moves of these containers that are not at their end, or whose end is being dealt with. */
export async function listMovesOf(redis: Redis, containers: readonly string[]): Promise<MigrationRecord[]> {
  const ids = await Promise.all(containers.map((container) => redis.smembers(movesOf(container))));
  return await readMany(redis, ids.flat());
}

/** Those that somebody has to drive, oldest first; some may have ended, with their lock still to be freed. */
export async function listActiveMigrations(redis: Redis): Promise<MigrationRecord[]> {
  return await Array.fromAsync(activeMigrations(redis));
}

/** The same a page at a time. @param except that need not be read. */
export async function* activeMigrations(redis: Redis, except?: ReadonlySet<string>): AsyncGenerator<MigrationRecord> {
  const ids = await redis.smembers(activeKey);
  const wanted = except === undefined ? ids : ids.filter((id) => !except.has(id));
  yield* inPages(
    redis,
    wanted.sort((a, b) => Number(a) - Number(b)),
  );
}

/**
 * Applies events, all in one write, by compare-and-set, again and again until no one else was faster. A migration that has ended stays
 * among the active ones until its driver has cleared up and forgets it.
 * @param known as it was read or written last: where nobody wrote since, it is not read again.
 * @param driver who must be the driver of the migration, where only the driver may do this.
 * @throws RankshiftError E_STALE where another one drives it; Error from the reducer where the event cannot follow.
 */
export async function applyEvent(
  redis: Redis,
  id: string,
  events: MigrationEvent | readonly MigrationEvent[],
  driver?: string,
  known?: MigrationRecord,
): Promise<MigrationRecord> {
  for (let read = known; ; read = undefined) {
    const now = read ?? (await readMigration(redis, id));
    if (driver !== undefined && now.driver !== driver) {
      throw new RankshiftError('E_STALE', `migration ${id} is driven by another controller now`);
    }
    const next = { ...[events].flat().reduce(reduce, now), revision: now.revision + 1 };
    const begunAgain = isFinal(now.state) && !isFinal(next.state);
    const enter = () => redis.multi().sadd(activeKey, id).sadd(movesOf(next.container), id).exec();
    if (begunAgain) await enter();
    const written = await script(redis, 'updateRecord', key(id), now.revision, JSON.stringify(next));
    if (written !== 1) continue;
    // Whoever cleared up the end before may have taken it out meanwhile.
    if (begunAgain) await enter();
    return next;
  }
}

/** A migration in a final state, of which nothing is left to do. One that was begun again since stays among the active. */
export async function forgetActive(
  redis: Redis,
  { id, container, revision }: Pick<MigrationRecord, 'id' | 'container' | 'revision'>,
): Promise<void> {
  await script(redis, 'forgetActive', key(id), activeKey, movesOf(container), id, revision);
}

/** Those of the ids that are still kept. */
export async function readMigrations(redis: Redis, ids: string[]): Promise<MigrationRecord[]> {
  return readMany(redis, ids);
}

async function readMany(redis: Redis, ids: string[]): Promise<MigrationRecord[]> {
  if (ids.length === 0) return [];
  const texts = await redis.mget(ids.map(key));
  return texts.flatMap((text) => {
    const parsed = text === null ? null : migrationRecordSchema.safeParse(JSON.parse(text));
    return parsed?.success ? [parsed.data] : [];
  });
}

async function forgetOldest(redis: Redis): Promise<void> {
  const surplus = (await redis.zcard(byTime)) - keptMigrations;
  if (surplus <= 0) return;
  const ids = await redis.zrange(byTime, '0', String(surplus - 1));
  const activeIds = new Set(await redis.smembers(activeKey));
  const gone = ids.filter((id) => !activeIds.has(id));
  if (gone.length > 0)
    await redis
      .multi()
      .del(gone.map(key))
      .zrem(byTime, ...gone)
      .exec();
}
