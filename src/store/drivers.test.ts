import test from 'ava';
import type { SerializedError } from '../errors.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { activeKey } from './connection.ts';
import { createContainer, lockContainer } from './containers.ts';
import { drivenByOthers, leaveMigration, sayAlive, takeMigration } from './drivers.ts';
import { applyEvent, createMigration, forgetActive, migrationKey, readMigration } from './migrations.ts';
import { luaRedis } from './testing.ts';

const fields = {
  ...{ container: '7.0', job: 7, requestedBy: { uid: 0, name: '"id":""' }, request: { container: '7.0', to: 'n2' } },
  owner: { uid: 1000, name: 'a"id":""b' },
};

test('migrations are numbered as they are written, whatever their texts look like', async (t) => {
  const redis = await luaRedis();
  for (const id of ['1', '2', '3']) {
    const record = await createMigration(redis, fields);
    t.is(record.id, id);
    t.deepEqual(await readMigration(redis, id), record);
  }
});

test('a request that is sent again, its answer lost with the connection, is one migration', async (t) => {
  const redis = await luaRedis();
  const answers: unknown[] = [];
  const resends = new Proxy(redis, {
    get: (target, name) =>
      name !== 'eval'
        ? Reflect.get(target, name)
        : async (...args: Parameters<typeof redis.eval>) => {
            answers.push(await target.eval(...args), await target.eval(...args));
            return answers.at(-1);
          },
  });
  t.is((await createMigration(resends, fields)).id, '1');
  t.deepEqual(answers, ['1', '1']);
  t.is((await createMigration(redis, fields)).id, '2');
});

test('what has ended is active no more, unless it was begun again before its driver had cleared up', async (t) => {
  const redis = await luaRedis();
  const { id } = await createMigration(redis, fields);
  const record = await createMigration(redis, fields);
  const begun = { type: 'preflight-started', at: 1, source: 'n1', epoch: 1 } as const;
  const switching = [begun, { type: 'preparing-started', at: 1 }, { type: 'switching-started', at: 1 }] as const;
  const error = { code: 'E_AGENT', message: 'away' } as SerializedError;
  const gaveUp = await applyEvent(redis, record.id, [...switching, { type: 'needs-operator', at: 2, error }]);
  const resumed = await applyEvent(redis, record.id, { type: 'resumed', at: 3 });
  await forgetActive(redis, gaveUp);
  t.deepEqual((await redis.smembers(activeKey)).sort(), [id, record.id]);
  // Nor is it cleared up by somebody who knows it as it was.
  t.like(await takeMigration(redis, gaveUp, 'a', 'a/1'), { state: resumed.state, driver: 'a/1' });
  await forgetActive(redis, await applyEvent(redis, id, { type: 'cancelled', at: 1 }));
  t.deepEqual(await redis.smembers(activeKey), [record.id]);
});

test('which migrations others drive that are alive', async (t) => {
  const redis = await luaRedis();
  for (const controller of ['a', 'b']) {
    const record = await createMigration(redis, fields);
    await sayAlive(redis, controller, controller === 'a' ? 3000 : 5000);
    await takeMigration(redis, record, controller, `${controller}/1`);
  }
  t.deepEqual(await drivenByOthers(redis, ['1', '2', '3'], 'a'), new Set(['2']));
  t.deepEqual(await drivenByOthers(redis, ['1', '2', '3'], 'c'), new Set(['1', '2']));
  redis.pass(4000);
  t.deepEqual(await drivenByOthers(redis, ['1', '2', '3'], 'c'), new Set(['2']));
});

test('a migration is taken by one controller that is alive, and its driver is in the record from then on', async (t) => {
  const redis = await luaRedis();
  const record = await createMigration(redis, fields);
  await sayAlive(redis, 'a', 3000);
  const taken = await takeMigration(redis, record, 'a', 'a/1');
  t.like(taken, { driver: 'a/1', revision: 1 });
  t.deepEqual(await readMigration(redis, record.id), taken);
  t.is(await takeMigration(redis, record, 'b', 'b/1'), null);
  t.is((await readMigration(redis, record.id)).driver, 'a/1');
  // It is taken for dead: another one has it, and it can write no more.
  redis.pass(3001);
  t.like(await takeMigration(redis, record, 'b', 'b/1'), { driver: 'b/1', revision: 2 });
  const started = { type: 'waiting', at: 1, reason: 'its turn' } as const;
  await t.throwsAsync(applyEvent(redis, record.id, started, 'a/1', taken ?? undefined), {
    message: /driven by another controller/,
  });
  t.like(await applyEvent(redis, record.id, started, 'b/1'), { waitingFor: 'its turn' });
});

test('a record that was written meanwhile is read again by the controller that takes it', async (t) => {
  const redis = await luaRedis();
  const record = await createMigration(redis, fields);
  await applyEvent(redis, record.id, { type: 'cancel-requested', at: 1 });
  t.like(await takeMigration(redis, record, 'a', 'a/1'), { driver: 'a/1', cancelRequested: true, revision: 2 });
});

test('a migration of which there is no record is taken by nobody', async (t) => {
  const redis = await luaRedis();
  const record = await createMigration(redis, fields);
  await redis.del(migrationKey(record.id));
  await t.throwsAsync(takeMigration(redis, record, 'a', 'a/1'), { message: /there is no migration 1/ });
  t.is(await redis.get('rs:driver:1'), null);
});

test('of a migration that has ended the record stays as it is', async (t) => {
  const redis = await luaRedis();
  const { id } = await createMigration(redis, fields);
  const ended = await applyEvent(redis, id, { type: 'cancelled', at: 1 });
  t.deepEqual(await takeMigration(redis, ended, 'a', 'a/1'), ended);
  t.deepEqual(await readMigration(redis, id), ended);
  await leaveMigration(redis, id, 'a');
  t.truthy(await takeMigration(redis, ended, 'b', 'b/1'));
});

test('the lock of a container is for the driver of its migration, who gets the container as it is then', async (t) => {
  const redis = await luaRedis();
  const container: ContainerRecord = {
    ...{ id: '7.0', job: 7, index: 0, run: 'r', uid: 1000, user: 'alice', image: 'mpi', owner: 'n1' },
    state: 'running',
    ...{ epoch: 3, switch: '', migration: '', heading: '', moves: 2, startedAt: 5 },
  };
  await createContainer(redis, container);
  const record = await createMigration(redis, fields);
  const taken = await takeMigration(redis, record, 'a', 'a/1');
  await t.throwsAsync(lockContainer(redis, '7.0', record), { message: /driven by another controller/ });
  const locked = await lockContainer(redis, '7.0', taken ?? record, 'n2');
  t.like(locked, { owner: 'n1', epoch: 3, moves: 2, migration: record.id, heading: 'n2' });
  const other = await takeMigration(redis, await createMigration(redis, fields), 'a', 'a/2');
  await t.throwsAsync(lockContainer(redis, '7.0', other ?? record), { message: /is moving already \(migration 1\)/ });
});
