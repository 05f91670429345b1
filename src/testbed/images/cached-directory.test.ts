import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { cachedDirectory, recipeHash } from './cached-directory.ts';

test('two at once build once and both get the whole directory', async (t) => {
  const cache = mkdtempSync(join(tmpdir(), 'rankshift-cache-'));
  t.teardown(() => rmSync(cache, { recursive: true }));
  let builds = 0;
  const build = async (dir: string) => {
    builds += 1;
    await sleep(50);
    writeFileSync(join(dir, 'file'), 'whole');
  };
  const dirs = await Promise.all([1, 2, 3].map(() => cachedDirectory(join(cache, 'image'), build)));
  t.is(builds, 1);
  for (const dir of dirs) t.is(readFileSync(join(dir, 'file'), 'utf8'), 'whole');
});

test('a build that fails leaves nothing, and the next one starts afresh', async (t) => {
  const cache = mkdtempSync(join(tmpdir(), 'rankshift-cache-'));
  t.teardown(() => rmSync(cache, { recursive: true }));
  const image = join(cache, 'image');
  const fail = async (dir: string) => {
    writeFileSync(join(dir, 'half'), '');
    throw new Error('no space');
  };
  await t.throwsAsync(cachedDirectory(image, fail), { message: 'no space' });
  t.false(existsSync(image));
  t.deepEqual(
    readdirSync(cache).filter((name) => name.startsWith('.building')),
    [],
  );
  await cachedDirectory(image, async () => undefined);
  t.true(existsSync(image));
});

test('recipes that differ have different hashes', (t) => {
  t.not(recipeHash({ packages: ['a'] }), recipeHash({ packages: ['b'] }));
});
