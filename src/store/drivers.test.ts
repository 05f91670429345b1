import test from 'ava';
import type { ContainerRecord } from '../migration/container.ts';
import { createContainer, lockContainer } from './containers.ts';
import { leaveMigration, sayAlive, takeMigration } from './drivers.ts';
import { applyEvent, createMigration, readMigration } from './migrations.ts';
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
