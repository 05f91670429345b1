import test from 'ava';
import { joinsAs } from './group-member.ts';

const found = { container: '1.0', job: 1, from: 'n2' };
const full = [{ code: 'no-target', message: 'no node has 8 CPUs free' }];
const speaks = { slurmSilent: false, now: 1000 };
const silent = { slurmSilent: true, now: 1000 };

test('what has a target goes at once, also while Slurm is silent', (t) => {
  for (const slurm of [speaks, silent])
    t.like(joinsAs(found, { to: 'n3', reasons: [] }, [], slurm), { to: 'n3', state: 'waiting', notBefore: 0 });
});

test('what has none stays, but waits and is placed again where Slurm was silent', (t) => {
  t.like(joinsAs(found, { to: null, reasons: full }, [], speaks), { to: null, state: 'stays', reasons: full });
  const waits = joinsAs(found, { to: null, reasons: full }, [], silent);
  t.like(waits, { to: null, state: 'waiting', notBefore: 6000 });
  t.deepEqual(
    waits.reasons.map(({ code }) => code),
    ['slurm-silent', 'no-target'],
  );
});

test('what a policy or its own state keeps stays, whatever Slurm does', (t) => {
  const against = [{ code: 'policy-never', message: 'never' }];
  t.like(joinsAs(found, null, against, silent), { to: null, state: 'stays', reasons: against });
});
