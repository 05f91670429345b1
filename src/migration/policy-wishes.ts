import { readSetting, type SettingName, type SomeSettings, settingNames, settings } from './policy-settings.ts';

/** One wish of a job's user: an option as text, and where it was written. */
export interface WishText {
  text: string;
  where: string;
}

/** What a user asks for, each setting with where it was written. */
export type Wishes = { [N in SettingName]?: { value: NonNullable<SomeSettings[N]>; where: string } };

const byName = new Map<string, SettingName>(settingNames.map((name) => [settings[name].name, name]));
/** Without a value, and what they stand for. */
const short: Record<string, readonly [SettingName, string]> = {
  'never-move': ['move', 'never'],
  gang: ['gang', 'yes'],
  'no-gang': ['gang', 'no'],
};
const allowedOptions = '--never-move, --strategies=, --max-downtime=, --gang, --no-gang, --bandwidth=, --window=';

/** The `#RANKSHIFT` lines of a batch script. As with #SBATCH, they stand before the first command. */
export function wishesOfScript(script: string): WishText[] {
  const wishes: WishText[] = [];
  for (const [index, line] of script.split('\n').entries()) {
    if (!/^\s*(#|$)/.test(line)) break;
    const [, rest] = /^#RANKSHIFT\s+(.*?)(?:\s#.*)?$/.exec(line) ?? [];
    for (const text of options(rest ?? '')) wishes.push({ text, where: `line ${index + 1} of the batch script` });
  }
  return wishes;
}

/** Of a job's comment: what follows `rankshift:`, to the next `;`. */
export function wishesOfComment(comment: string): WishText[] {
  const [, rest] = /(?:^|[\s;])rankshift:([^;]*)/i.exec(comment) ?? [];
  return options(rest ?? '').map((text) => ({ text, where: '--comment of the job' }));
}

/** `--name value` is `--name=value`. */
function options(text: string): string[] {
  const words = text.split(/\s+/).filter((word) => word !== '');
  const joined: string[] = [];
  for (const word of words) {
    const last = joined.at(-1);
    if (!word.startsWith('--') && last !== undefined && !last.includes('='))
      joined[joined.length - 1] = `${last}=${word}`;
    else joined.push(word);
  }
  return joined;
}

/** Reads wishes; of two for the same setting the later one counts. Errors say where, and what is allowed. */
export function readWishes(texts: readonly WishText[]): { wishes: Wishes; errors: string[] } {
  const wishes: Wishes = {};
  const errors: string[] = [];
  for (const { text, where } of texts) {
    const [, option = '', value] = /^--([a-z-]+)(?:=(.*))?$/.exec(text) ?? [];
    const [name, given] =
      value === undefined ? (short[option] ?? []) : [byName.get(option === 'strategy' ? 'strategies' : option), value];
    if (name === undefined || given === undefined || option === 'move') {
      errors.push(`${where}: ${text}: allowed are ${allowedOptions}`);
      continue;
    }
    const read: SomeSettings = {};
    const allowed = readSetting(read, name, given);
    if (allowed !== null) errors.push(`${where}: ${text}: allowed is ${allowed}`);
    else Object.assign(wishes, { [name]: { value: read[name], where } });
  }
  return { wishes, errors };
}
