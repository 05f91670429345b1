import test from 'ava';
import { remedyOf } from './remedies.ts';

test('each reason has its remedy, said once', (t) => {
  const reasons = ['target-memory', 'max-downtime'].map((code) => ({ code, message: '' }));
  const text = remedyOf(reasons, 'n1', 'n2');
  t.regex(text, /^Free memory on n2, or name another target .*; allow more with --max-downtime/);
  t.is(remedyOf([...reasons, ...reasons], 'n1', 'n2'), text);
});

test('what a process holds and CRIU cannot dump is the business of the program', (t) => {
  const text = remedyOf(
    ['io-uring', 'kvm'].map((code) => ({ code, message: '' })),
    'n1',
    null,
  );
  t.regex(text, /^The program has to let go of it, .*\.$/);
});
