import type { Redis } from 'ioredis';
import { RankshiftError } from '../errors.ts';
import { type GroupRecord, groupRecordSchema } from '../migration/group.ts';
import { keyPrefix, script } from './connection.ts';

const key = (id: string) => `${keyPrefix}:group:${id}`;
const sequence = `${keyPrefix}:group-sequence`;
const byTime = `${keyPrefix}:groups`;
const active = `${keyPrefix}:groups-active`;

/** How many groups that have ended are kept. */
const keptGroups = 1000;

export type NewGroup = Pick<
  GroupRecord,
  'kind' | 'nodes' | 'targets' | 'reason' | 'requestedBy' | 'origin' | 'members' | 'askedAt'
>;

/** Of a group that is yet to be written: e1, e2, ... */
export async function newGroupId(redis: Redis): Promise<string> {
  return `e${await redis.incr(sequence)}`;
}

/** Writes a new group, in the state active. @param id of newGroupId, where its moves were made before it */
export async function createGroup(redis: Redis, fields: NewGroup, id?: string): Promise<GroupRecord> {
  const record: GroupRecord = {
    version: 1,
    revision: 0,
    id: id ?? (await newGroupId(redis)),
    state: 'active',
    cancelRequested: false,
    waitingFor: null,
    createdAt: Date.now(),
    endedAt: null,
    ...fields,
  };
  const written = await script(redis, 'updateRecord', key(record.id), '', JSON.stringify(record));
  if (written !== 1) throw new RankshiftError('E_INTERNAL', `group ${record.id} exists already`);
  await redis.multi().zadd(byTime, record.createdAt, record.id).sadd(active, record.id).exec();
  await forgetOldest(redis);
  return record;
}

/** @throws RankshiftError E_UNKNOWN_GROUP. */
export async function readGroup(redis: Redis, id: string): Promise<GroupRecord> {
  const text = await redis.get(key(id));
  if (text === null) throw new RankshiftError('E_UNKNOWN_GROUP', `there is no evacuation, return or set ${id}`);
  return groupRecordSchema.parse(JSON.parse(text));
}

/** Newest first. */
export async function listGroups(redis: Redis, limit: number): Promise<GroupRecord[]> {
  return readGroups(redis, await redis.zrevrange(byTime, 0, limit - 1));
}

/** Those that have not ended, oldest first. */
export async function listActiveGroups(redis: Redis): Promise<GroupRecord[]> {
  const records = await readGroups(redis, await redis.smembers(active));
  return records.sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)));
}

/**
 * Changes a group by compare-and-set, again and again until no one else was faster. One that comes to its end is taken
 * from the active ones, one that is taken up again is put back.
 * @param change returns the record anew, or the same object to leave it as it is.
 */
export async function changeGroup(
  redis: Redis,
  id: string,
  change: (now: GroupRecord) => GroupRecord,
): Promise<GroupRecord> {
  for (;;) {
    const now = await readGroup(redis, id);
    const changed = change(now);
    if (changed === now) return now;
    const next = { ...changed, revision: now.revision + 1 };
    if (next.state === 'active') await redis.sadd(active, id);
    const written = await script(redis, 'updateRecord', key(id), now.revision, JSON.stringify(next));
    if (written !== 1) continue;
    if (next.state !== 'active') await redis.srem(active, id);
    return next;
  }
}

/** Takes a group that has ended from the active ones: whoever wrote its end may have died before he could. */
export async function forgetEnded(redis: Redis, id: string): Promise<void> {
  await changeGroup(redis, id, (now) => (now.state === 'active' ? now : { ...now }));
}

/** Those that go on as they were read last: one with thousands of members is looked at again and again. */
const parsed = new Map<string, { text: string; group: GroupRecord }>();
const mostParsed = 100;

/** Those of them that there are and that can be read; what has not changed since is not parsed again. */
export async function readGroups(redis: Redis, ids: string[]): Promise<GroupRecord[]> {
  if (ids.length === 0) return [];
  const texts = await redis.mget(ids.map(key));
  return texts.flatMap((text, index) => {
    const id = ids[index] ?? '';
    const last = parsed.get(id);
    if (text !== null && last?.text === text) return [last.group];
    parsed.delete(id);
    const read = text === null ? null : groupRecordSchema.safeParse(JSON.parse(text));
    if (text === null || read?.success !== true) return [];
    if (read.data.state === 'active' && parsed.size < mostParsed) parsed.set(id, { text, group: read.data });
    return [read.data];
  });
}

async function forgetOldest(redis: Redis): Promise<void> {
  const surplus = (await redis.zcard(byTime)) - keptGroups;
  if (surplus <= 0) return;
  const oldest = await redis.zrange(byTime, '0', String(surplus - 1));
  const busy = new Set(await redis.smembers(active));
  const gone = oldest.filter((id) => !busy.has(id));
  if (gone.length === 0) return;
  await redis
    .multi()
    .del(gone.map(key))
    .zrem(byTime, ...gone)
    .exec();
}

/** Node -> the evacuation that empties it now. */
export async function leavingNodes(redis: Redis): Promise<Map<string, string>> {
  const evacuations = (await listActiveGroups(redis)).filter(({ kind }) => kind === 'evacuation');
  return new Map(evacuations.flatMap(({ id, nodes }) => nodes.map((node) => [node, id] as const)));
}
