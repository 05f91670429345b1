import test from 'ava';
import fc from 'fast-check';
import { decidePolicy, specificity } from './policy.ts';
import { parsePolicyFile, type Rule, type Subject } from './policy-file.ts';
import { describeSetting, settingNames, settings } from './policy-settings.ts';
import { readWishes, wishesOfComment, wishesOfScript } from './policy-wishes.ts';

const subject: Subject = { partition: 'long', account: 'physics', user: 'alice', jobName: 'relax-7' };

function rules(...lines: string[]): Rule[] {
  const { rules: read, errors } = parsePolicyFile('site.conf', lines.join('\n'));
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return read;
}

const decisionOf = (policy: ReturnType<typeof decidePolicy>, setting: string) =>
  policy.decisions.find((decision) => decision.setting === setting);

test('a file of rules: selectors, settings, comments, quotes', (t) => {
  const [first, second, ...rest] = rules(
    '# the whole site',
    'Strategies=pre-copy,stop-and-copy MaxDowntime=2s # seconds',
    '',
    'Partition=long,short JobName="two words" Move=never Gang=yes Bandwidth=100M Window=22:00-06:00,Sat-Sun@00:00-24:00',
  );
  t.deepEqual(first?.set, { strategies: ['pre-copy', 'stop-and-copy'], maxDowntimeMs: 2000 });
  t.deepEqual(second?.where, { Partition: ['long', 'short'], JobName: ['two words'] });
  t.is(second?.line, 4);
  t.like(second?.set, { move: 'never', gang: true, bandwidth: 104_857_600 });
  t.is(rest.length, 0);
});

test('every error of a file is told with its line and what is allowed', (t) => {
  const { errors, rules: kept } = parsePolicyFile(
    'site.conf',
    [
      'MaxDowntime=soon',
      'Colour=red Move=maybe',
      'Partition=long',
      'Move=never Move=allowed',
      'nonsense',
      'Gang=yes',
    ].join('\n'),
  );
  t.deepEqual(
    errors.map(({ line }) => line),
    [1, 2, 2, 3, 4, 5],
  );
  t.regex(errors[0]?.message ?? '', /MaxDowntime=soon: allowed is a duration such as 500ms/);
  t.regex(errors[1]?.message ?? '', /unknown key Colour; allowed are Partition, Account, User, JobName, Move/);
  t.regex(errors[2]?.message ?? '', /Move=maybe: allowed is allowed, never or required/);
  t.regex(errors[3]?.message ?? '', /sets nothing/);
  t.is(kept.length, 1);
});

test('the most specific line wins, of each setting by itself, and the later one among equals', (t) => {
  const policy = decidePolicy(
    rules(
      'MaxDowntime=9s Move=never Bandwidth=1G',
      'JobName=relax-* MaxDowntime=1s',
      'User=alice MaxDowntime=2s Move=allowed',
      'Partition=long Account=physics MaxDowntime=3s',
      'JobName=relax-? MaxDowntime=4s',
      'User=bob MaxDowntime=5s',
    ),
    subject,
  );
  t.like(policy.settings, { maxDowntimeMs: 4000, move: 'allowed', bandwidth: 2 ** 30, gang: null });
  t.is(decisionOf(policy, 'maxDowntimeMs')?.by, 'site.conf:5');
  t.is(decisionOf(policy, 'bandwidth')?.by, 'site.conf:1');
  t.is(decisionOf(policy, 'gang')?.by, 'default');
  t.deepEqual(decisionOf(policy, 'maxDowntimeMs')?.passedOver, [
    'site.conf:2: 1s',
    'site.conf:3: 2s',
    'site.conf:4: 3s',
    'site.conf:1: 9s',
  ]);
});

test('a name says more than a pattern, and a pattern is no regular expression', (t) => {
  const policy = decidePolicy(rules('JobName=relax-7 Gang=yes', 'JobName=relax* Gang=no'), subject);
  t.true(policy.settings.gang);
  t.is(specificity(rules('JobName=relax.7 Gang=yes')[0] as Rule, subject), null);
  t.is(specificity(rules('JobName=RELAX-7 Gang=yes')[0] as Rule, subject), null);
});

test('#RANKSHIFT lines stand before the first command; a comment has them after rankshift:', (t) => {
  const script = [
    '#!/bin/bash',
    '#SBATCH -N 3',
    '#RANKSHIFT --max-downtime=500ms --strategies pre-copy  # gentle',
    '',
    '#RANKSHIFT --never-move',
    'echo hello',
    '#RANKSHIFT --gang',
  ].join('\n');
  t.deepEqual(wishesOfScript(script), [
    { text: '--max-downtime=500ms', where: 'line 3 of the batch script' },
    { text: '--strategies=pre-copy', where: 'line 3 of the batch script' },
    { text: '--never-move', where: 'line 5 of the batch script' },
  ]);
  t.deepEqual(
    wishesOfComment('night run; rankshift: --window=22:00-06:00 --no-gang; other').map(({ text }) => text),
    ['--window=22:00-06:00', '--no-gang'],
  );
  t.deepEqual(wishesOfComment('the rankshift test'), []);
});

test('wishes that are none say where, and what is allowed', (t) => {
  const where = 'line 2 of the batch script';
  const { errors, wishes } = readWishes(
    ['--never-move=yes', '--move=never', '--colour=red', '--max-downtime=soon', '--gang'].map((text) => ({
      text,
      where,
    })),
  );
  t.is(errors.length, 4);
  t.regex(errors[2] ?? '', /line 2 of the batch script: --colour=red: allowed are --never-move/);
  t.regex(errors[3] ?? '', /allowed is a duration/);
  t.deepEqual(wishes, { gang: { value: true, where } });
});

test("a user's wishes count within the administrator's bounds", (t) => {
  const where = 'option of rankshift run';
  const { wishes } = readWishes(
    ['--never-move', '--strategies=post-copy', '--max-downtime=5s', '--bandwidth=10M', '--window=23:00-01:00'].map(
      (text) => ({ text, where }),
    ),
  );
  const policy = decidePolicy(
    rules('Move=required Strategies=pre-copy MaxDowntime=2s Bandwidth=100M Window=22:00-06:00'),
    subject,
    wishes,
  );
  t.like(policy.settings, { move: 'required', strategies: ['pre-copy'], maxDowntimeMs: 2000, bandwidth: 10_485_760 });
  t.is(policy.notes.length, 3);
  t.is(decisionOf(policy, 'bandwidth')?.by, where);
  t.is(decisionOf(policy, 'windows')?.value, '22:00-06:00 and 23:00-01:00');
  t.is(decidePolicy([], subject, wishes).settings.move, 'never');
});

const ruleText = fc
  .record({
    where: fc.record(
      {
        Partition: fc.constantFrom('long', 'short', 'l*'),
        User: fc.constantFrom('alice', 'bob', '*'),
        JobName: fc.constantFrom('relax-7', 'relax*', 'x'),
      },
      { requiredKeys: [] },
    ),
    set: fc.record(
      {
        Move: fc.constantFrom('never', 'allowed', 'required'),
        Strategies: fc.constantFrom('pre-copy', 'stop-and-copy,pre-copy', 'post-copy'),
        MaxDowntime: fc.integer({ min: 1, max: 100_000 }).map((ms) => `${ms}ms`),
        Bandwidth: fc.integer({ min: 1, max: 1000 }).map((mib) => `${mib}M`),
        Gang: fc.constantFrom('yes', 'no'),
      },
      { requiredKeys: [] },
    ),
  })
  .filter(({ set }) => Object.keys(set).length > 0)
  .map(({ where, set }) =>
    Object.entries({ ...where, ...set })
      .map(([key, value]) => `${key}=${value}`)
      .join(' '),
  );

const wishText = fc.constantFrom(
  '--never-move',
  '--max-downtime=1s',
  '--strategies=pre-copy',
  '--bandwidth=5M',
  '--gang',
);

test('property: each decision is the most specific of the lines that set it; wishes only ever narrow', (t) => {
  fc.assert(
    fc.property(fc.array(ruleText, { maxLength: 8 }), fc.array(wishText, { maxLength: 4 }), (texts, asked) => {
      const all = rules(...texts);
      const alone = decidePolicy(all, subject);
      for (const name of settingNames) {
        const setting = all.filter((rule) => rule.set[name] !== undefined && specificity(rule, subject) !== null);
        const best = Math.max(...setting.map((rule) => specificity(rule, subject) ?? -1));
        const winner = setting.findLast((rule) => specificity(rule, subject) === best);
        if (winner !== undefined) t.deepEqual(alone.settings[name] as unknown, winner.set[name] as unknown);
      }
      const { wishes } = readWishes(asked.map((text) => ({ text, where: 'test' })));
      const both = decidePolicy(all, subject, wishes).settings;
      const { settings: bound } = alone;
      t.true((both.maxDowntimeMs ?? Infinity) <= (bound.maxDowntimeMs ?? Infinity));
      t.true((both.bandwidth ?? Infinity) <= (bound.bandwidth ?? Infinity));
      if (bound.strategies !== null) t.true(both.strategies?.every((one) => bound.strategies?.includes(one)));
      if (bound.move !== 'allowed') t.is(both.move, bound.move);
    }),
  );
});

test('property: what a setting is described as reads as the same value, and no text makes the parser throw', (t) => {
  fc.assert(
    fc.property(ruleText, (text) => {
      const [rule] = rules(text);
      for (const name of settingNames) {
        const value = rule?.set[name];
        if (value === undefined) continue;
        const read = settings[name].parse(describeSetting(name, value as never));
        t.deepEqual(read as unknown, { ok: true, value });
      }
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
      const { rules: read, errors } = parsePolicyFile('f', text);
      t.true(read.length + errors.length >= 0);
      readWishes([...wishesOfScript(`#RANKSHIFT ${text}`), ...wishesOfComment(`rankshift:${text}`)]);
    }),
  );
});
