import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Config } from '../config.ts';
import { noteAttached, noteDetached } from '../store/attached.ts';
import { luaRedis } from '../store/testing.ts';
import { createLogger } from '../telemetry/logger.ts';
import { endFinishedRuns } from './watch-runs.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rankshift-runs-'));
test.after.always(() => rmSync(scratch, { recursive: true }));

/** A controller whose Slurm says that of job 42, which has a run. */
async function controllerWith(jobState: string[]) {
  const scontrolPath = join(scratch, jobState.join('-'));
  const job = {
    ...{ job_id: 42, user_name: 'alice', user_id: 1000, group_id: 1000, job_state: jobState, nodes: 'n1' },
    ...{ batch_host: 'n1', current_working_directory: '/', name: '', account: '', partition: '', qos: '' },
    ...{ resv_name: '', wckey: '', admin_comment: '' },
  };
  writeFileSync(scontrolPath, `#!/bin/sh\necho '${JSON.stringify({ jobs: [job], last_update: 1 })}'\n`);
  chmodSync(scontrolPath, 0o755);
  const redis = await luaRedis();
  const run = {
    ...{ job: 42, run: 'aa', uid: 1000, user: 'alice', image: 'mpi', nodes: ['n1'], containers: 1 },
    ...{ ranksPerContainer: 1, program: ['cg'], state: 'running', startedAt: 0 },
  };
  await redis.hset('rs:runs', '42', JSON.stringify(run));
  return { redis, config: { scontrolPath } as Config, log: createLogger('test', 'silent') };
}

test('the run of a job that is ending is left to its rankshift run, at whatever controller that is', async (t) => {
  const controller = await controllerWith(['RUNNING', 'COMPLETING']);
  const ended: string[] = [];
  const look = () => endFinishedRuns(controller, async (job, run) => ended.push(`${job} ${run}`));
  // By another process: this one has no connection.
  await noteAttached(controller.redis, 42, 'there', 12_000);
  await look();
  t.deepEqual(ended, []);
  await noteDetached(controller.redis, 42, 'there');
  await look();
  t.deepEqual(ended, ['42 aa']);
});

test('the run of a job that is over ends, whoever is there; one that runs does not', async (t) => {
  for (const [state, ends] of [
    ['CANCELLED', 1],
    ['RUNNING', 0],
  ] as const) {
    const controller = await controllerWith([state]);
    let ended = 0;
    await noteAttached(controller.redis, 42, 'there', 12_000);
    await endFinishedRuns(controller, async () => ended++);
    t.is(ended, ends, state);
  }
});
