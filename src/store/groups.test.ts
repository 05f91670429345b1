import test from 'ava';
import { type GroupRecord, groupRecordSchema } from '../migration/group.ts';
import { forgetEnded } from './groups.ts';
import { luaRedis } from './testing.ts';

test('a group whose end was written by one who died is among the active ones no more; one that goes on is', async (t) => {
  const redis = await luaRedis();
  const group = (id: string, state: GroupRecord['state']) =>
    groupRecordSchema.parse({
      ...{ version: 1, revision: 3, id, kind: 'evacuation', state, nodes: ['n2'], targets: [], reason: '' },
      ...{ requestedBy: { uid: 0, name: 'root' }, origin: 'command', members: [], cancelRequested: false },
      ...{ createdAt: 0, endedAt: null },
    });
  for (const one of [group('e1', 'completed'), group('e2', 'active')]) {
    await redis.set(`rs:group:${one.id}`, JSON.stringify(one));
    await redis.sadd('rs:groups-active', one.id);
    await forgetEnded(redis, one.id);
  }
  t.deepEqual(await redis.smembers('rs:groups-active'), ['e2']);
});
