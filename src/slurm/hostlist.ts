import { RankshiftError } from '../errors.ts';

/** No list of Slurm's is longer than this; a longer one is a slip of the keyboard. */
export const mostNames = 100_000;
const longestNumber = 15;

/** A term is a row of parts; each part stands for one or more texts. `n[1-2]-ib` has the parts n, 1 2, -ib. */
type Parts = string[][];

/**
 * Expands a host list as `scontrol show hostnames` does: `n[1-3,07]`, zero padding as wide as the range's start,
 * several brackets (the last turns fastest), a suffix, commas or blanks between terms. Order and repeats are kept.
 * @throws RankshiftError E_BAD_INPUT naming the position (from 1), or where it stands for more than 100,000 names.
 */
export function expandHostlist(text: string): string[] {
  const names: string[] = [];
  let position = 0;
  while (position < text.length) {
    if (isSeparator(text.charAt(position))) {
      position += 1;
      continue;
    }
    const start = position;
    const parts: Parts = [];
    while (position < text.length && !isSeparator(text.charAt(position))) {
      const part = text.charAt(position) === '[' ? readBracket(text, position) : readLiteral(text, position);
      parts.push(part.texts);
      position = part.end;
    }
    const count = parts.reduce((product, part) => product * part.length, 1);
    if (names.length + count > mostNames) throw badList(text, start, `stands for more than ${mostNames} names`);
    for (const name of combine(parts)) names.push(name);
  }
  return names;
}

function isSeparator(character: string): boolean {
  return character === ',' || character === ' ' || character === '\t' || character === '\n';
}

function readLiteral(text: string, start: number): { texts: string[]; end: number } {
  const literal = /^[A-Za-z0-9._-]+/.exec(text.slice(start))?.[0];
  if (literal === undefined) throw badList(text, start, `unexpected '${text.charAt(start)}'`);
  return { texts: [literal], end: start + literal.length };
}

function readBracket(text: string, start: number): { texts: string[]; end: number } {
  const close = text.indexOf(']', start);
  if (close < 0) throw badList(text, start, "'[' is never closed");
  const texts: string[] = [];
  let position = start + 1;
  for (const range of text.slice(start + 1, close).split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (match === null) throw badList(text, position, `'${range}' is neither a number nor a range such as 1-4`);
    const [, low = '', high = low] = match;
    if (Math.max(low.length, high.length) > longestNumber) throw badList(text, position, `'${range}' is too large`);
    const [first, last] = [Number(low), Number(high)];
    if (last < first) throw badList(text, position, `range '${range}' runs backwards`);
    if (texts.length + last - first >= mostNames) {
      throw badList(text, position, `stands for more than ${mostNames} names`);
    }
    for (let number = first; number <= last; number += 1) texts.push(String(number).padStart(low.length, '0'));
    position += range.length + 1;
  }
  return { texts, end: close + 1 };
}

function combine(parts: Parts): string[] {
  return parts.reduce<string[]>((heads, part) => heads.flatMap((head) => part.map((text) => head + text)), ['']);
}

function badList(text: string, index: number, message: string): RankshiftError {
  return new RankshiftError('E_BAD_INPUT', `host list '${shorten(text)}', position ${index + 1}: ${message}`);
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Names that fold into one bracket: the same text before a number of the same padding. */
interface Group {
  prefix: string;
  /** Digits of a zero-padded number; 0 where it is not padded. */
  width: number;
  numbers: number[];
}

/**
 * Folds host names into a host list: `n1,n2,n3,n7` becomes `n[1-3,7]`. Only a number at the end of a name folds, which
 * every Slurm reads. Repeats vanish, numbers are sorted, and the groups stand in the order in which they first appear.
 */
export function foldHostlist(names: readonly string[]): string {
  const padded = new Set<string>();
  for (const name of names) {
    const { prefix, digits } = splitName(name);
    if (isPadded(digits)) padded.add(`${prefix} ${digits.length}`);
  }
  const groups = new Map<string, Group>();
  for (const name of new Set(names)) {
    const { prefix, digits } = splitName(name);
    // n10 belongs to n09 where there is one, else to n9.
    const width = padded.has(`${prefix} ${digits.length}`) ? digits.length : 0;
    const key = digits === '' ? `${prefix} ` : `${prefix} ${width}`;
    const group = groups.get(key) ?? { prefix, width, numbers: [] };
    if (digits !== '') group.numbers.push(Number(digits));
    groups.set(key, group);
  }
  return [...groups.values()].map(foldGroup).join(',');
}

function splitName(name: string): { prefix: string; digits: string } {
  const digits = /\d{1,15}$/.exec(name)?.[0] ?? '';
  return { prefix: name.slice(0, name.length - digits.length), digits };
}

function isPadded(digits: string): boolean {
  return digits.length > 1 && digits.startsWith('0');
}

function foldGroup({ prefix, width, numbers }: Group): string {
  const sorted = numbers.toSorted((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const number of sorted) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] + 1 === number) range[1] = number;
    else ranges.push([number, number]);
  }
  const print = (number: number) => String(number).padStart(width, '0');
  const texts = ranges.map(([first, last]) => (first === last ? print(first) : `${print(first)}-${print(last)}`));
  const [only] = texts;
  if (only === undefined) return prefix;
  return sorted.length === 1 ? `${prefix}${only}` : `${prefix}[${texts.join(',')}]`;
}
