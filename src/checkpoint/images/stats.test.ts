import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { readStats } from './stats.ts';

test('the figures of a dump and a restore have their units in their names', async (t) => {
  const stats = await readStats(fileURLToPath(new URL('fixtures/connections', import.meta.url)));
  t.like(stats, { freezingUs: 74, frozenUs: 44_368, memdumpUs: 197, memwriteUs: 49, pagesWritten: 16 });
  t.like(stats, { forkingUs: 1, restoreUs: 244_189, pagesRestored: 16 });
});

test('a directory without statistics is named', async (t) => {
  await t.throwsAsync(readStats(join(tmpdir(), 'rankshift-no-such')), { message: /rankshift-no-such/ });
});
