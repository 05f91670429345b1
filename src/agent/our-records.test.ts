import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Config } from '../config.ts';
import { nameRecords } from '../store/identity.ts';
import { luaRedis } from '../store/testing.ts';
import { createLogger } from '../telemetry/logger.ts';
import { recordsAreOurs, takeRecords } from './our-records.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rankshift-records-'));
test.after.always(() => rmSync(scratch, { recursive: true }));

async function nodeOf(name: string) {
  const stateDir = join(scratch, name);
  mkdirSync(join(stateDir, 'containers'), { recursive: true });
  const log = createLogger('test', 'silent');
  const redis = await luaRedis();
  return { config: { stateDir } as Config, redis, log };
}

/** As if a container of that name were here. */
function startContainer({ config }: { config: Config }): void {
  const directory = join(config.stateDir, 'containers', '42.0');
  mkdirSync(directory);
  const facts = {
    ...{
      id: '42.0',
      job: 42,
      run: '00112233aabbccdd',
      index: 0,
      uid: 1000,
      gid: 1000,
      user: 'alice',
      home: '/',
      groups: [],
    },
    ...{
      image: 'mpi',
      layers: [`sha256:${'a'.repeat(64)}`],
      mpi: 'openmpi',
      mpiStarter: 'mpirun',
      shim: false,
      imageEnvironment: [],
    },
    ...{ environment: [], workDir: '/', ranksPerContainer: 1, containers: 1, cpus: 1, memoryBytes: null },
    program: null,
  };
  writeFileSync(join(directory, 'container.json'), JSON.stringify({ facts, epoch: 1 }));
}

test('a Redis that came back empty, or is another, is not believed about containers that it does not know', async (t) => {
  const node = await nodeOf('lost');
  await nameRecords(node.redis);
  // Several containers may begin at once.
  await Promise.all(Array.from({ length: 8 }, () => takeRecords(node)));
  t.deepEqual(readdirSync(node.config.stateDir).sort(), ['containers', 'records']);
  startContainer(node);
  t.true(await recordsAreOurs(node));
  // A controller that is started again names them only once.
  await nameRecords(node.redis);
  t.true(await recordsAreOurs(node));
  const empty = { ...node, redis: await luaRedis() };
  t.false(await recordsAreOurs(empty));
  await nameRecords(empty.redis);
  t.false(await recordsAreOurs(empty));
  await takeRecords(empty);
  t.false(await recordsAreOurs(empty));
  t.true(await recordsAreOurs(node));
});

test('an empty node takes the records that there are; one of an earlier release goes on with its own', async (t) => {
  const node = await nodeOf('empty');
  await nameRecords(node.redis);
  await takeRecords(node);
  const other = { ...node, redis: await luaRedis() };
  await nameRecords(other.redis);
  await takeRecords(other);
  startContainer(node);
  t.true(await recordsAreOurs(other));
  t.false(await recordsAreOurs(node));
  const old = await nodeOf('old');
  startContainer(old);
  t.true(await recordsAreOurs(old));
  await nameRecords(old.redis);
  t.true(await recordsAreOurs(old));
  t.false(await recordsAreOurs({ ...old, redis: await luaRedis() }));
});
