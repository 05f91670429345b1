import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { anyCriuWith } from './until-criu-ended.ts';

test('a CRIU that is a script is found, and another is not', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'rankshift-criu-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const [images, others] = [join(directory, '1/images'), join(directory, '12/images')];
  for (const [name, found] of [
    ['criu', true],
    ['rankshift-node', true],
    ['rankshift-pages', false],
  ] as const) {
    const program = join(directory, name);
    await writeFile(program, '#!/bin/sh\nread line\n', { mode: 0o755 });
    const child = spawn(program, ['dump', '--images-dir', images], { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    await sleep(50);
    t.is(await anyCriuWith([images]), found, name);
    t.false(await anyCriuWith([others]), name);
    const ended = once(child, 'exit');
    child.stdin.end();
    await ended;
    t.false(await anyCriuWith([images]), name);
  }
});
