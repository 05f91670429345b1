import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { readCriuLogErrors } from './log.ts';

test('the reason of a failed dump, without what is harmless or says nothing', async (t) => {
  t.deepEqual(await readCriuLogErrors(fileURLToPath(new URL('fixtures/dump-failed.txt', import.meta.url))), [
    "Error (criu/mount.c:753): mnt: 248:./srv/data doesn't have a proper root mount",
  ]);
});

test('errors of restored tasks and of the restorer are found, the last ones count', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'rankshift-log-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const file = join(dir, 'restore.log');
  const many = Array.from({ length: 20 }, (_, i) => `(00.1000${i})      1: Error (criu/files.c:${i}): no`);
  const restorer = '(00.200000) pie: 42: Error (criu/pie/restorer.c:1): no memory';
  await writeFile(
    file,
    [...many, 'a line', restorer, '(00.3) Error (criu/cr-restore.c:9): Restoring FAILED.'].join('\n'),
  );
  const lines = await readCriuLogErrors(file);
  t.is(lines.length, 8);
  t.is(lines[0], 'Error (criu/files.c:13): no');
  t.is(lines.at(-1), 'pie: 42: Error (criu/pie/restorer.c:1): no memory');
  await writeFile(file, '(00.3) Error (criu/cr-restore.c:9): Restoring FAILED.\n');
  t.deepEqual(await readCriuLogErrors(file), ['Error (criu/cr-restore.c:9): Restoring FAILED.']);
  t.deepEqual(await readCriuLogErrors(join(dir, 'none')), []);
});
