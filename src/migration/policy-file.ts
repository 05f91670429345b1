import { readSetting, type SettingName, type SomeSettings, settingNames, settings } from './policy-settings.ts';

/** By what a rule chooses jobs. All that a rule names must fit; of several values one must. */
export const selectors = { Partition: 'partition', Account: 'account', User: 'user', JobName: 'jobName' } as const;
export type SelectorKey = keyof typeof selectors;

/** What of a job rules look at. */
export interface Subject {
  partition: string;
  account: string;
  user: string;
  jobName: string;
}

/** One line of a policy file. */
export interface Rule {
  file: string;
  line: number;
  text: string;
  where: Partial<Record<SelectorKey, readonly string[]>>;
  set: SomeSettings;
}

export interface PolicyError {
  file: string;
  line: number;
  message: string;
}

const settingKeys = new Map<string, SettingName>(settingNames.map((name) => [settings[name].key, name]));
const known = [...Object.keys(selectors), ...settingKeys.keys()].join(', ');

/**
 * Reads one policy file: a rule in each line, `Key=Value` pairs with blanks between them, a value with blanks in double
 * quotes, `#` for comments. Every error of the file, not only the first.
 */
export function parsePolicyFile(file: string, content: string): { rules: Rule[]; errors: PolicyError[] } {
  const rules: Rule[] = [];
  const errors: PolicyError[] = [];
  for (const [index, raw] of content.split('\n').entries()) {
    const text = withoutComment(raw).trim();
    if (text === '') continue;
    const rule = { file, line: index + 1, text, where: {}, set: {} };
    const messages = readRule(rule, text);
    errors.push(...messages.map((message) => ({ file, line: index + 1, message })));
    if (messages.length === 0) rules.push(rule);
  }
  return { rules, errors };
}

/** A `#` at the start or after a blank begins a comment, but not between quotes. */
function withoutComment(line: string): string {
  const match = /^((?:"[^"]*"|[^"#]|(?<=\S)#|")*?)(?:(?:^|\s)#.*)?$/.exec(line);
  return match?.[1] ?? line;
}

function readRule(rule: Rule, text: string): string[] {
  const errors: string[] = [];
  const seen = new Set<string>();
  for (const [pair] of text.matchAll(/(?:"[^"]*"|[^\s"]|")+/g)) {
    const [, key = '', quoted, bare] = /^([A-Za-z]+)=(?:"([^"]*)"|([^"]*))$/.exec(pair) ?? [];
    const value = quoted ?? bare ?? '';
    if (key === '') errors.push(`${pair}: not Key=Value`);
    else if (seen.has(key)) errors.push(`${key} is in this line already`);
    else if (isSelector(key)) {
      const values = value.split(',');
      if (values.includes('')) errors.push(`${key}=${value}: allowed are names, comma separated`);
      else rule.where[key] = values;
    } else {
      const name = settingKeys.get(key);
      const allowed = name === undefined ? null : readSetting(rule.set, name, value);
      if (name === undefined) errors.push(`unknown key ${key}; allowed are ${known}`);
      else if (allowed !== null) errors.push(`${key}=${value}: allowed is ${allowed}`);
    }
    seen.add(key);
  }
  if (errors.length === 0 && Object.keys(rule.set).length === 0)
    errors.push(`the line sets nothing; allowed are ${[...settingKeys.keys()].join(', ')}`);
  return errors;
}

function isSelector(key: string): key is SelectorKey {
  return Object.hasOwn(selectors, key);
}
