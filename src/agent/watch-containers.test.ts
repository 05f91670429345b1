import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Queue } from 'bullmq';
import type { Config } from '../config.ts';
import type { LocalContainer } from './files.ts';
import { noticeEnd } from './watch-containers.ts';

test('the end of a container that could not be told while Redis was away is told later, and once', async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'rankshift-watch-'));
  t.teardown(() => rmSync(stateDir, { recursive: true }));
  let away = true;
  let told = 0;
  const add = async () => {
    if (away) throw new Error('Connection is closed.');
    told++;
  };
  const context = { config: { stateDir } as Config, node: 'n1', reports: { add } as unknown as Queue };
  // Of a job that this machine surely has not.
  const ended = { facts: { id: '16777214.0', job: 16_777_214, index: 0, run: 'aa' }, epoch: 1 } as LocalContainer;
  const reported = new Set<string>();
  await t.throwsAsync(noticeEnd(context, ended, new Map(), reported));
  away = false;
  for (let look = 0; look < 2; look++) await noticeEnd(context, ended, new Map(), reported);
  t.is(told, 1);
});
