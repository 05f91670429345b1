import { type Option, parsed, refused } from './policy-values.ts';
import { describeWindow, parseWindows, type Window } from './policy-windows.ts';
import { bytesPerSecondOf, millisecondsOf } from './quantities.ts';
import { type Strategy, strategySchema } from './record.ts';

/** What a policy says of a job. Null: no limit, no preference. */
export interface Settings {
  /** `never`: it is not moved; `required`: its user may not ask for `never`. */
  move: 'allowed' | 'never' | 'required';
  strategies: readonly Strategy[] | null;
  maxDowntimeMs: number | null;
  /** Whether containers of the job that move together are frozen together. */
  gang: boolean | null;
  /** Bytes per second. */
  bandwidth: number | null;
  windows: readonly Window[] | null;
}
export type SettingName = keyof Settings;
export type SomeSettings = { [N in SettingName]?: NonNullable<Settings[N]> };

export const noPolicy: Settings = {
  move: 'allowed',
  strategies: null,
  maxDowntimeMs: null,
  gang: null,
  bandwidth: null,
  windows: null,
};

interface Setting<N extends SettingName> {
  /** Its key in a policy file, and its name for users (`--max-downtime`). */
  key: string;
  name: string;
  parse: Option<NonNullable<Settings[N]>>;
  describe(value: NonNullable<Settings[N]>): string;
}

const yesNo: Option<boolean> = (text) =>
  text === 'yes' || text === 'no' ? parsed(text === 'yes') : refused('yes or no');

export const settings: { [N in SettingName]: Setting<N> } = {
  move: {
    key: 'Move',
    name: 'move',
    parse: (text) =>
      text === 'allowed' || text === 'never' || text === 'required'
        ? parsed(text)
        : refused('allowed, never or required (the user may not ask for never)'),
    describe: (value) => value,
  },
  strategies: {
    key: 'Strategies',
    name: 'strategies',
    parse: (text) => {
      const names = text.split(',').map((name) => strategySchema.safeParse(name));
      const found = names.flatMap(({ data }) => (data === undefined ? [] : [data]));
      if (found.length === names.length) return parsed([...new Set(found)]);
      return refused(`some of ${strategySchema.options.join(', ')}, comma separated`);
    },
    describe: (value) => value.join(','),
  },
  maxDowntimeMs: {
    key: 'MaxDowntime',
    name: 'max-downtime',
    parse: (text) => {
      const ms = millisecondsOf(text);
      return ms === null ? refused('a duration such as 500ms, 2s or 1m') : parsed(ms);
    },
    describe: (ms) => (ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`),
  },
  gang: { key: 'Gang', name: 'gang', parse: yesNo, describe: (value) => (value ? 'yes' : 'no') },
  bandwidth: {
    key: 'Bandwidth',
    name: 'bandwidth',
    parse: (text) => {
      const rate = bytesPerSecondOf(text);
      return rate === null ? refused('bytes per second such as 100M') : parsed(rate);
    },
    describe: (rate) => {
      const units = ['', 'K', 'M', 'G'];
      let [value, unit] = [rate, 0];
      while (value % 1024 === 0 && unit < 3) [value, unit] = [value / 1024, unit + 1];
      return `${value}${units[unit]}`;
    },
  },
  windows: {
    key: 'Window',
    name: 'window',
    parse: parseWindows,
    describe: (windows) => windows.map(describeWindow).join(','),
  },
};

export const settingNames = Object.keys(settings) as SettingName[];

/** Reads one setting into `into`. Returns what is allowed where the text is none of it. */
export function readSetting(into: SomeSettings, name: SettingName, text: string): string | null {
  const read = settings[name].parse(text);
  if (!read.ok) return read.allowed;
  Object.assign(into, { [name]: read.value });
  return null;
}

/** A value as it is written in a file; `-` where nothing is set. */
export function describeSetting<N extends SettingName>(name: N, value: Settings[N]): string {
  return value === null ? '-' : settings[name].describe(value as NonNullable<Settings[N]>);
}
