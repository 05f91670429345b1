import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Config } from '../config.ts';
import { allocationRecordSchema } from '../migration/allocation.ts';
import { jobFacts } from '../slurm/facts.ts';
import { luaRedis } from '../store/testing.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { ControllerContext } from './context.ts';
import { withPlaces } from './job-places.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rankshift-places-'));
test.after.always(() => rmSync(scratch, { recursive: true }));

const scontrolPath = join(scratch, 'scontrol');

/** From now on Slurm says that job 42 has these nodes. */
function slurmSays(nodes: string): void {
  const job = {
    ...{ job_id: 42, user_name: 'alice', user_id: 1000, group_id: 1000, job_state: ['RUNNING'], nodes },
    ...{ batch_host: 'n1', current_working_directory: '/', name: '', account: '', partition: '', qos: '' },
    ...{ resv_name: '', wckey: '', admin_comment: '' },
  };
  writeFileSync(scontrolPath, `#!/bin/sh\necho '${JSON.stringify({ jobs: [job], last_update: 1 })}'\n`);
  chmodSync(scontrolPath, 0o755);
}

test('a node that has left the job since it was asked takes no container of its next run', async (t) => {
  const redis = await luaRedis();
  const share = { cpus: 2, memoryMiB: null, whole: false, tasks: 2 };
  const record = allocationRecordSchema.parse({
    ...{ version: 1, job: 42, uid: 1000, gid: 1000, restarts: 0, nodes: ['n1', 'n2'], touched: ['n2', 'n3'] },
    ...{ shares: { '42.0': share, '42.1': share }, places: { '42.0': 'n1', '42.1': 'n3' } },
    // What held n3 was cancelled by somebody.
    ...{ shadows: [], confined: {}, comment: '' },
  });
  await redis.hset('rs:allocations', '42', JSON.stringify(record));
  const config = { scontrolPath } as Config;
  const context = {
    ...{ config, redis, log: createLogger('test', 'silent'), stopping: new AbortController().signal },
  } as unknown as ControllerContext;
  slurmSays('n[1-2]');
  const before = await jobFacts(config, 42);
  t.deepEqual((await withPlaces(context, before)).nodes, ['n1', 'n2']);
  slurmSays('n1');
  t.deepEqual((await withPlaces(context, before)).nodes, ['n1']);
});
