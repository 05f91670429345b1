import { type Rule, type SelectorKey, type Subject, selectors } from './policy-file.ts';
import { describeSetting, noPolicy, type SettingName, type Settings, settingNames } from './policy-settings.ts';
import type { Wishes } from './policy-wishes.ts';

/** What was decided for one setting, by which line, and what did not count. For people. */
export interface Decision {
  setting: SettingName;
  value: string;
  /** `FILE:LINE`, where a user wrote it, or `default`. */
  by: string;
  /** The line of the file, or the bound in which the user's wish lies. */
  because: string;
  /** Less specific lines, and wishes out of bounds. */
  passedOver: string[];
}

export interface Policy {
  settings: Settings;
  decisions: Decision[];
  /** Wishes that were not granted, for their user. */
  notes: string[];
  /** The user's windows, in which a move must begin as well as in those of `settings`. */
  userWindows: Settings['windows'];
}

/** From the least to the most specific: a user's name says more than his account's. */
const order: readonly SelectorKey[] = ['Partition', 'Account', 'User', 'JobName'];

/** `*` stands for any text, `?` for one character. */
function fits(pattern: string, name: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === name;
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`, 's').test(name);
}

/** How specific a rule is for a job, null where it is not for it: what it names, and a name more than a pattern. */
export function specificity(rule: Rule, subject: Subject): number | null {
  let sum = 0;
  for (const [index, key] of order.entries()) {
    const patterns = rule.where[key];
    if (patterns === undefined) continue;
    const name = subject[selectors[key]];
    const found = patterns.filter((pattern) => fits(pattern, name));
    if (found.length === 0) return null;
    sum += (found.some((pattern) => !/[*?]/.test(pattern)) ? 2 : 1) * 3 ** index;
  }
  return sum;
}

/**
 * What the rules and the wishes of its user make of a job: for each setting the most specific rule, among equals the last
 * one; then the user's wish as far as it lies within.
 */
export function decidePolicy(rules: readonly Rule[], subject: Subject, wishes: Wishes = {}): Policy {
  const matching = rules
    .map((rule, index) => ({ rule, index, rank: specificity(rule, subject) }))
    .filter((one): one is typeof one & { rank: number } => one.rank !== null)
    .sort((a, b) => b.rank - a.rank || b.index - a.index)
    .map(({ rule }) => rule);
  const policy: Policy = { settings: { ...noPolicy }, decisions: [], notes: [], userWindows: null };
  for (const name of settingNames) decide(policy, name, matching, wishes);
  return policy;
}

function decide<N extends SettingName>(policy: Policy, name: N, matching: readonly Rule[], wishes: Wishes): void {
  const setting = matching.filter((rule) => rule.set[name] !== undefined);
  const [first, ...rest] = setting;
  const bound = (first?.set[name] ?? noPolicy[name]) as Settings[N];
  const place = (rule: Rule) => `${rule.file}:${rule.line}`;
  const decision: Decision = {
    setting: name,
    value: describeSetting(name, bound),
    by: first === undefined ? 'default' : place(first),
    because: first?.text ?? '',
    passedOver: rest.map((rule) => `${place(rule)}: ${describeSetting(name, rule.set[name] as Settings[N])}`),
  };
  policy.decisions.push(decision);
  policy.settings[name] = bound;
  const wish = wishes[name];
  if (wish === undefined) return;
  const asked = describeSetting(name, wish.value as Settings[N]);
  const granted = within(name, bound, wish.value as NonNullable<Settings[N]>);
  if (granted === null) {
    const note = `${wish.where}: ${asked} is out of the bounds of ${decision.by} (${decision.value})`;
    decision.passedOver.push(note);
    policy.notes.push(note);
    return;
  }
  if (name === 'windows') policy.userWindows = granted as Settings['windows'];
  else policy.settings[name] = granted;
  const both = name === 'windows' && bound !== null;
  decision.value = both ? `${decision.value} and ${asked}` : describeSetting(name, granted);
  decision.because = first === undefined ? '' : `within ${decision.by}: ${describeSetting(name, bound)}`;
  decision.by = wish.where;
}

/** A user's wish within what the administrator allows; null where nothing of it is. */
function within<N extends SettingName>(
  name: N,
  bound: Settings[N],
  wish: NonNullable<Settings[N]>,
): Settings[N] | null {
  const limits = { bound, wish } as { bound: unknown; wish: unknown };
  switch (name) {
    case 'move':
      return limits.bound === 'allowed' || limits.bound === limits.wish ? wish : null;
    case 'strategies': {
      const allowed = limits.bound as Settings['strategies'];
      const both = (limits.wish as NonNullable<Settings['strategies']>).filter((one) => allowed?.includes(one) ?? true);
      return both.length === 0 ? null : (both as unknown as Settings[N]);
    }
    case 'maxDowntimeMs':
    case 'bandwidth':
      return bound === null || (wish as number) <= (bound as number) ? wish : null;
    default:
      return wish;
  }
}
