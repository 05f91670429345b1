import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { armToEnd } from './armed-to-end.ts';

test('a program waits for its line and tells its end; without one it ends by itself', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'rankshift-armed-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const messages = join(directory, 'messages');
  const script = 'read -r line || exit 3; echo "got $line" >&2; readlink /proc/self/fd/3 >&2; exit 5';
  const armed = armToEnd('sh', ['-c', script], messages, { third: 'closed socket' });
  t.is(await armed.fire('one line'), 5);
  const said = await readFile(messages, 'utf8');
  t.regex(said, /^got one line\n/);
  t.regex(said, /socket:/);

  const ended = join(directory, 'ended');
  const dropped = armToEnd('sh', ['-c', 'read -r line; echo "$line." >&2'], ended);
  dropped.drop();
  while ((await readFile(ended, 'utf8')) === '') await new Promise((resolve) => setTimeout(resolve, 5));
  t.is(await readFile(ended, 'utf8'), '.\n');
  await t.throwsAsync(armToEnd('/no/such/program', [], messages).fire(''), { message: /cannot be started/ });
});
