import test from 'ava';
import { decidePolicy } from './policy.ts';
import { parsePolicyFile, type Subject } from './policy-file.ts';
import { termsOf } from './policy-terms.ts';
import type { MigrationRequest } from './record.ts';

const subject: Subject = { partition: 'long', account: 'physics', user: 'alice', jobName: 'relax' };
const noon = Date.parse('2026-06-10T12:00:00Z');
const terms = (policy: string, request: Partial<MigrationRequest> = {}) =>
  termsOf(
    decidePolicy(parsePolicyFile('p.conf', policy).rules, subject),
    { container: '42.1', ...request },
    noon,
    'UTC',
  );

test('without a policy a move is as it was asked for', (t) => {
  t.deepEqual(terms('', { maxDowntimeMs: 500, force: true, bandwidth: 7, verify: true }), {
    reasons: [],
    notBefore: null,
    strategies: null,
    limits: { maxDowntimeMs: 500, force: true, bandwidth: 7, verify: true },
    gang: null,
  });
});

test('what the policy forbids is said with the line that does', (t) => {
  const { reasons } = terms('Partition=long Move=never Strategies=pre-copy', { strategy: 'post-copy' });
  t.deepEqual(
    reasons.map(({ code }) => code),
    ['policy-never', 'policy-strategy'],
  );
  t.regex(reasons[0]?.message ?? '', /42\.1 is not to be moved: p\.conf:1 \(Partition=long Move=never/);
});

test('the lower limit counts, and --force does not lift that of the policy', (t) => {
  t.is(terms('Bandwidth=10', { bandwidth: 20 }).limits.bandwidth, 10);
  t.is(terms('Bandwidth=10', { bandwidth: 5 }).limits.bandwidth, 5);
  t.deepEqual(terms('MaxDowntime=2s', { maxDowntimeMs: 500 }).limits, { maxDowntimeMs: 500 });
  t.like(terms('MaxDowntime=2s', { maxDowntimeMs: 500, force: true }).limits, { maxDowntimeMs: 2000 });
  t.is(terms('MaxDowntime=2s', { force: true }).limits.force, undefined);
});

test('a move waits for its window, for --not-before, or for both', (t) => {
  const at = (text: string) => Date.parse(`2026-06-${text}:00Z`);
  t.is(terms('Window=22:00-06:00').notBefore?.at, at('10T22:00'));
  t.is(terms('Window=10:00-14:00').notBefore, null);
  t.is(terms('', { notBefore: at('10T15:00') }).notBefore?.at, at('10T15:00'));
  t.is(terms('Window=22:00-06:00', { notBefore: at('11T07:00') }).notBefore?.at, at('11T22:00'));
  t.is(terms('Window=22:00-06:00', { window: '05:00-08:00' }).notBefore?.at, at('11T05:00'));
  t.regex(
    terms('Window=22:00-06:00').notBefore?.why ?? '',
    /its window 22:00-06:00 \(p\.conf:1\): begins 2026-06-10T22:00:00/,
  );
});

test('where no window ever comes, the move is refused', (t) => {
  for (const [policy, window] of [
    ['Window=22:00-06:00', '12:00-13:00'],
    ['', '2026-01-01T10:00/2026-01-02T10:00'],
    ['Window=2026-01-01T10:00/2026-01-02T10:00', undefined],
  ] as const) {
    const { reasons, notBefore } = terms(policy, window === undefined ? {} : { window });
    t.is(reasons[0]?.code, 'policy-window');
    t.is(notBefore, null);
  }
});
