/**
 * Plays with commit records in a real Redis; runs in a testbed's management node, since Redis is reached only there.
 * Prints `right`, or what was wrong.
 */
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { loadConfig } from '../../src/config.ts';
import { RankshiftError } from '../../src/errors.ts';
import type { ContainerRecord } from '../../src/migration/container.ts';
import { connectRedis, redisAddress } from '../../src/store/connection.ts';
import {
  type AbortAnswer,
  abortSwitch,
  commitSwitch,
  createContainer,
  listContainers,
  lockContainer,
  openSwitch,
  readContainer,
  removeContainer,
  type SwitchIdentity,
  unlockContainer,
} from '../../src/store/containers.ts';
import { migrationKey } from '../../src/store/migrations.ts';
import { createRun, type RunRecord, readRun, removeRun, updateRun } from '../../src/store/runs.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

const container = '999999.0';
const migrations = ['7', '8', '9', '10', '11'];
const nodes = ['n1', 'n2', 'n3'] as const;

async function fresh(redis: Redis, run = ''): Promise<ContainerRecord> {
  const record: ContainerRecord = {
    ...{ id: container, job: 999_999, index: 0, uid: 1000, user: 'alice', image: 'none', state: 'running' as const },
    ...{ owner: 'n1', epoch: 1, switch: '', migration: '', heading: '', moves: 0, run, startedAt: 0 },
  };
  await removeContainer(redis, container, '');
  await createContainer(redis, record);
  return record;
}

/** A switch as its driver orders it, by the record of that moment. */
async function order(redis: Redis, migration: string): Promise<SwitchIdentity> {
  const { owner = 'n1', epoch = 1 } = (await readContainer(redis, container)) ?? {};
  const target = nodes[(nodes.indexOf(owner as 'n1') + 1) % nodes.length] ?? 'n2';
  return { container, migration, source: owner, target, epoch };
}

interface Known {
  identity: SwitchIdentity;
  decided: 'committed' | 'aborted' | null;
}

/**
 * Any sequence of orders, commits and closings of several migrations, each repeated and late as commands may be: what was
 * decided for one never changes, and the epoch counts the commits.
 */
async function sequence(redis: Redis, steps: readonly (readonly [string, 'open' | 'commit' | 'abort'])[]) {
  await fresh(redis);
  const known = new Map<string, Known>();
  let owner = 'n1';
  let commits = 0;
  for (const [migration, act] of steps) {
    const now = known.get(migration) ?? { identity: await order(redis, migration), decided: null };
    known.set(migration, now);
    if (act === 'open') {
      const answer = await openSwitch(redis, now.identity);
      if (answer === 'open' && now.decided !== null) throw new Error(`${migration} was opened again`);
      continue;
    }
    const answer: AbortAnswer =
      act === 'commit' ? await commitSwitch(redis, now.identity) : await abortSwitch(redis, now.identity);
    if (answer === 'committed' && now.decided === 'aborted') throw new Error(`${migration} committed after its end`);
    if (answer === 'aborted' && now.decided === 'committed' && act === 'abort')
      throw new Error(`${migration} aborted after its commit`);
    if (answer === 'committed' && now.decided === null) {
      now.decided = 'committed';
      owner = now.identity.target;
      commits++;
    }
    // A refused commit says only that it is not open now; what closes it for good is the abort.
    if (answer === 'aborted' && act === 'abort' && now.decided === null) now.decided = 'aborted';
    const record = await readContainer(redis, container);
    if (record?.owner !== owner || record.epoch !== commits + 1 || record.moves !== commits)
      throw new Error(`the record is ${JSON.stringify(record)}, expected ${owner} at epoch ${commits + 1}`);
  }
}

/** Commit and closing at the same moment, over two connections: one wins, and both are told the same. */
async function race(one: Redis, other: Redis, round: number): Promise<string> {
  await fresh(one);
  const identity = await order(one, migrations[0] ?? '7');
  await openSwitch(one, identity);
  const commit = () => commitSwitch(one, identity);
  const abort = () => abortSwitch(other, identity);
  const [first, second] = round % 2 === 0 ? [commit, abort] : [abort, commit];
  const answers = await Promise.all([first(), second()]);
  const record = await readContainer(one, container);
  const won = record?.owner === identity.target ? 'committed' : 'aborted';
  if (answers.some((answer) => answer !== won)) throw new Error(`${answers.join(' and ')}, but it was ${won}`);
  return won;
}

/** A driver that was replaced, and comes back when all is over, takes no lock that nobody would free. */
async function lateLock(redis: Redis): Promise<void> {
  await fresh(redis);
  const id = '999999';
  await redis.set(migrationKey(id), JSON.stringify({ driver: 'second' }));
  try {
    await lockContainer(redis, container, { id, driver: 'second' });
    await unlockContainer(redis, container, id);
    const late = await lockContainer(redis, container, { id, driver: 'first' }).catch(
      (error: unknown) => RankshiftError.from(error).code,
    );
    if (late !== 'E_STALE') throw new Error(`a lock was taken too late: ${late}`);
    const record = await readContainer(redis, container);
    if (record?.migration !== '') throw new Error(`locked by ${record?.migration}`);
  } finally {
    await redis.del(migrationKey(id));
  }
}

/** Who ends a run that the job has no more, or whose containers have successors of the same name, changes nothing. */
async function laterRun(redis: Redis): Promise<void> {
  const job = 999_999;
  const run = (id: string): RunRecord => ({
    ...{ job, run: id, uid: 1000, user: 'alice', image: 'none', nodes: ['n1'], containers: 1, ranksPerContainer: 1 },
    ...{ program: ['true'], state: 'running', startedAt: 0, wishes: [] },
  });
  const expect = (what: string, found: unknown, wanted: unknown) => {
    if (found !== wanted) throw new Error(`${what}: ${found}, not ${wanted}`);
  };
  await removeContainer(redis, container, '');
  await removeRun(redis, job, '');
  try {
    const record = await fresh(redis, 'second');
    expect(
      'made twice',
      await createContainer(redis, record).catch((error) => RankshiftError.from(error).code),
      'E_BUSY',
    );
    await createRun(redis, run('second'));
    await removeContainer(redis, container, 'first');
    await removeRun(redis, job, 'first');
    await updateRun(redis, { ...run('first'), state: 'ending' });
    expect('container', (await readContainer(redis, container))?.run, 'second');
    expect('run', (await readRun(redis, job))?.state, 'running');
    await updateRun(redis, { ...run('second'), state: 'ending' });
    expect('its own word', (await readRun(redis, job))?.state, 'ending');
    await removeContainer(redis, container, 'second');
    await removeRun(redis, job, 'second');
    await updateRun(redis, run('second'));
    expect('container', await readContainer(redis, container), null);
    expect(
      'listed',
      (await listContainers(redis)).some(({ id }) => id === container),
      false,
    );
    expect('run', await readRun(redis, job), null);
  } finally {
    await removeContainer(redis, container, '');
    await removeRun(redis, job, '');
  }
}

const config = loadConfig();
const log = createLogger('commit-record', 'error');
const [redis, other] = [connectRedis(redisAddress(config), log), connectRedis(redisAddress(config), log)];
try {
  await lateLock(redis);
  await laterRun(redis);
  const step = fc.tuple(fc.constantFrom(...migrations), fc.constantFrom('open', 'commit', 'abort'));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => sequence(redis, steps)),
    { numRuns: 150 },
  );
  const won = new Set<string>();
  for (let round = 0; round < 200; round++) won.add(await race(redis, other, round));
  console.log(won.size === 2 ? 'right' : `every race ended ${[...won].join()}`);
} catch (error) {
  console.log((error as Error).message);
} finally {
  await removeContainer(redis, container, '');
  redis.disconnect();
  other.disconnect();
}
