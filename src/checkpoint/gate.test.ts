import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { run } from '../process/run.ts';
import { decideGate, gateLog, gateScript, gateStands, makeGate, untilGate } from './gate.ts';

async function directory(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'rankshift-gate-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

test('a decision reaches who waits at the gate, and nobody where nobody waits', async (t) => {
  const dir = await directory(t);
  t.false(await decideGate(dir, 'open'), 'no gate was made');
  await makeGate(dir, '/bin/true');
  await makeGate(dir, '/bin/true');
  t.false(await decideGate(dir, 'open'), 'nobody reads');
  const reader = run('head', ['-n', '1', join(dir, 'gate.fifo')]);
  while (!(await decideGate(dir, 'refuse'))) await new Promise((resolve) => setTimeout(resolve, 5));
  t.is((await reader).stdout, 'refuse\n');
});

test('whoever waits at the gate is seen there until he ends, and is told nothing by that', async (t) => {
  const dir = await directory(t);
  await makeGate(dir, '/bin/true');
  t.false(await gateStands(dir));
  // As the gate does it: for reading and writing.
  const waiting = spawn('sh', ['-c', 'exec <>"$0"; read word; echo "$word"', join(dir, 'gate.fifo')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => waiting.kill('SIGKILL'));
  while (!(await gateStands(dir))) await new Promise((resolve) => setTimeout(resolve, 5));
  t.true(await gateStands(dir));
  waiting.kill('SIGKILL');
  await once(waiting, 'exit');
  t.false(await gateStands(dir));
  t.is(waiting.stdout.read(), null);
});

test('waiting for the gate ends when it is reached, or with the error of the restore', async (t) => {
  const dir = await directory(t);
  await t.throwsAsync(untilGate(dir, Promise.reject(new Error('criu failed'))), { message: 'criu failed' });
  await t.throwsAsync(untilGate(dir, Promise.resolve()), { message: /without reaching its gate/ });
  const waiting = untilGate(dir, new Promise(() => undefined));
  await writeFile(join(dir, 'gate.ready'), '1\n');
  await t.notThrowsAsync(waiting);
});

test('the log gives the last time of each stage', async (t) => {
  const dir = await directory(t);
  t.is((await gateLog(dir)).size, 0);
  await writeFile(join(dir, 'gate.log'), 'pre-restore 10\npost-restore 20\nnot a line\npost-restore 30\n');
  t.deepEqual(
    [...(await gateLog(dir))],
    [
      ['pre-restore', 10n],
      ['post-restore', 30n],
    ],
  );
});

test('the script of a gate has no blank in its name: CRIU takes none', (t) => {
  t.notRegex(gateScript('/var/lib/rankshift/migrations/7'), /\s/);
});
