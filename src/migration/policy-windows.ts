import { type Option, parsed, refused } from './policy-values.ts';

/** Times of a day, on some days of the week: from minute to minute of the day, over midnight where `to` is not after `from`. */
interface DailyWindow {
  kind: 'daily';
  /** 1 Monday to 7 Sunday; of a window over midnight the day on which it opens. */
  days: readonly number[];
  from: number;
  to: number;
}

/** One stretch of time, local: ISO date and time without a zone. */
interface SingleWindow {
  kind: 'single';
  from: string;
  to: string;
}

export type Window = DailyWindow | SingleWindow;

const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const everyDay = [1, 2, 3, 4, 5, 6, 7];
const dayMinutes = 1440;

export const windowAllowed =
  'HH:MM-HH:MM, DAYS@HH:MM-HH:MM (Mon-Fri@22:00-06:00, Sat@00:00-24:00) or DATETHH:MM/DATETHH:MM, comma separated';

/** Parses `22:00-06:00,Sat-Sun@00:00-24:00`, or `2030-01-05T22:00/2030-01-06T06:00`. */
export const parseWindows: Option<readonly Window[]> = (text) => {
  const windows: Window[] = [];
  for (const part of text.split(',')) {
    const window = parseDaily(part) ?? parseSingle(part);
    if (window === null) return refused(windowAllowed);
    windows.push(window);
  }
  return parsed(windows);
};

function parseDaily(text: string): DailyWindow | null {
  const match = /^(?:([A-Za-z]{3})(?:-([A-Za-z]{3}))?@)?(\d{1,2}:\d{2})-(\d{1,2}:\d{2})$/.exec(text);
  if (match === null) return null;
  const [, first, last = first, start = '', end = ''] = match;
  const from = minuteOf(start);
  const to = minuteOf(end);
  const days = first === undefined || last === undefined ? everyDay : daysBetween(first, last);
  if (from === null || to === null || days === null || from === to || from === dayMinutes || to === 0) return null;
  return { kind: 'daily', days, from, to };
}

function minuteOf(text: string): number | null {
  const [hours = Number.NaN, minutes = Number.NaN] = text.split(':').map(Number);
  const minute = hours * 60 + minutes;
  return minutes < 60 && minute <= dayMinutes ? minute : null;
}

function daysBetween(first: string, last: string): number[] | null {
  const from = dayNames.indexOf(first.toLowerCase());
  const to = dayNames.indexOf(last.toLowerCase());
  if (from < 0 || to < 0) return null;
  const count = ((to - from + 7) % 7) + 1;
  return Array.from({ length: count }, (_, index) => ((from + index) % 7) + 1);
}

function parseSingle(text: string): SingleWindow | null {
  const [from, to, ...rest] = text.split('/');
  if (from === undefined || to === undefined || rest.length > 0) return null;
  try {
    const start = Temporal.PlainDateTime.from(from);
    const end = Temporal.PlainDateTime.from(to);
    if (!/T\d/.test(from) || !/T\d/.test(to) || Temporal.PlainDateTime.compare(start, end) >= 0) return null;
    return { kind: 'single', from: start.toString(), to: end.toString() };
  } catch {
    return null;
  }
}

/** As it is written in a file. */
export function describeWindow(window: Window): string {
  if (window.kind === 'single') return `${window.from}/${window.to}`;
  const clock = (minute: number) =>
    `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  const name = (day: number | undefined) => {
    const text = dayNames[(day ?? 1) - 1] ?? '';
    return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  };
  const { days } = window;
  const which = days.length === 7 ? '' : `${name(days[0])}${days.length === 1 ? '' : `-${name(days.at(-1))}`}@`;
  return `${which}${clock(window.from)}-${clock(window.to)}`;
}

/** Whether one of the windows is open. Judged by the clock on the wall, so a day of 23 or 25 hours needs no care. */
export function isOpen(windows: readonly Window[], atMs: number, timeZone: string): boolean {
  const local = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
  const minute = local.hour * 60 + local.minute;
  const yesterday = local.dayOfWeek === 1 ? 7 : local.dayOfWeek - 1;
  return windows.some((window) => {
    if (window.kind === 'single') {
      const plain = local.toPlainDateTime();
      const { compare } = Temporal.PlainDateTime;
      return compare(plain, window.from) >= 0 && compare(plain, window.to) < 0;
    }
    const { days, from, to } = window;
    if (from < to) return days.includes(local.dayOfWeek) && minute >= from && minute < to;
    return (days.includes(local.dayOfWeek) && minute >= from) || (days.includes(yesterday) && minute < to);
  });
}

/**
 * The first moment from `fromMs` on at which each of the lists has a window open; null where none ever comes. Windows open
 * at a start of one of them, so these are tried: of the days after `fromMs`, and of those after the start of each single
 * window. A week holds every meeting of windows by the day; a second one is for a change of the clock.
 */
export function nextOpening(lists: readonly (readonly Window[])[], fromMs: number, timeZone: string): number | null {
  const all = lists.flat();
  const starts = [fromMs];
  const zoned = (atMs: number) => Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
  const singles = all.filter((window) => window.kind === 'single');
  const singleStarts = singles.map(({ from }) => Temporal.PlainDateTime.from(from).toZonedDateTime(timeZone));
  starts.push(...singleStarts.map(({ epochMilliseconds }) => epochMilliseconds));
  for (const base of [zoned(fromMs), ...singleStarts]) {
    for (let day = 0; day <= 14; day++) {
      const date = base.toPlainDate().add({ days: day });
      for (const window of all) {
        if (window.kind === 'single') continue;
        const time = { hour: Math.floor(window.from / 60), minute: window.from % 60 };
        starts.push(date.toPlainDateTime(time).toZonedDateTime(timeZone).epochMilliseconds);
      }
    }
  }
  const later = [...new Set(starts)].filter((at) => at >= fromMs).sort((a, b) => a - b);
  return later.find((at) => lists.every((windows) => isOpen(windows, at, timeZone))) ?? null;
}
