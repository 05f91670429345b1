import test from 'ava';
import { arm } from './armed.ts';

test('an armed program works on its input and nothing before', async (t) => {
  const armed = arm('sort', ['-r']);
  const { exitCode, stdout } = await armed.fire('a\nb\n');
  t.is(exitCode, 0);
  t.is(stdout, 'b\na\n');
});

test('what it says and how it exits comes back', async (t) => {
  const { exitCode, stderr } = await arm('sh', ['-c', 'read word; echo "$word" >&2; exit 3']).fire('late\n');
  t.is(exitCode, 3);
  t.is(stderr, 'late\n');
});

test('one that does not end is killed at its deadline', async (t) => {
  const { exitCode } = await arm('sh', ['-c', 'read word; exec sleep 60']).fire('go\n', 200);
  t.is(exitCode, -1);
});

test('an absent program is an error when it is fired, and dropping one is none', async (t) => {
  await t.throwsAsync(arm('/no/such/program', []).fire(''), { message: /cannot be started/ });
  t.notThrows(() => arm('cat', []).drop());
});
