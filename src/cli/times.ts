import { RankshiftError } from '../errors.ts';

const unitsOf: Record<string, number> = { second: 1, minute: 60, hour: 3600, day: 86_400, week: 604_800 };
const named: Record<string, string> = { midnight: '00:00', noon: '12:00', teatime: '16:00' };
const allowed =
  'HH:MM[:SS], today, tomorrow, midnight, noon, teatime, MM/DD[/YY][-HH:MM[:SS]], YYYY-MM-DD[THH:MM[:SS]] or now+N[minutes|hours|days|weeks]';

export interface TimeOptions {
  nowMs?: number;
  timeZone?: string;
  /** Whether a time of day that is over today means tomorrow's, as with sbatch --begin, or today's, as with sacct -S. */
  ofDay: 'next' | 'today';
}

/** A time as sbatch and sacct take it, local: Unix time in milliseconds. @throws RankshiftError E_BAD_INPUT. */
export function parseTime(option: string, text: string, options: TimeOptions): number {
  const { nowMs = Date.now(), timeZone = Temporal.Now.timeZoneId(), ofDay } = options;
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(timeZone);
  const relative = /^now(?:([+-])(\d{1,9})([a-z]*))?$/.exec(text);
  if (relative !== null) {
    const [, sign, count = '0', unit = ''] = relative;
    const seconds = unit === '' ? 1 : unitsOf[unit.replace(/s$/, '')];
    if (seconds !== undefined) return nowMs + (sign === '-' ? -1000 : 1000) * Number(count) * seconds;
  }
  try {
    const clock = named[text] ?? text;
    if (/^\d{1,2}:\d{2}(:\d{2})?$/.test(clock)) {
      const at = now.withPlainTime(
        Temporal.PlainTime.from(clock.padStart(clock.length === 4 || clock.length === 7 ? clock.length + 1 : 0, '0')),
      );
      const over = ofDay === 'next' && at.epochMilliseconds <= nowMs;
      return (over ? at.add({ days: 1 }) : at).epochMilliseconds;
    }
    if (text === 'today') return ofDay === 'next' ? nowMs : now.startOfDay().epochMilliseconds;
    if (text === 'tomorrow') return now.add({ days: 1 }).startOfDay().epochMilliseconds;
    if (/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?)?$/.test(text))
      return Temporal.PlainDateTime.from(text).toZonedDateTime(timeZone).epochMilliseconds;
    const american = /^(\d{1,2})\/(\d{1,2})(?:\/(\d{2}))?(?:-(\d{2}:\d{2}(?::\d{2})?))?$/.exec(text);
    if (american !== null) {
      const [, month, day, year, time = '00:00'] = american;
      const fields = {
        year: year === undefined ? now.year : 2000 + Number(year),
        month: Number(month),
        day: Number(day),
      };
      const date = Temporal.PlainDate.from(fields, { overflow: 'reject' });
      return date.toPlainDateTime(time).toZonedDateTime(timeZone).epochMilliseconds;
    }
  } catch {
    // A month with 31 days too few.
  }
  throw new RankshiftError('E_BAD_INPUT', `${option} ${text}: not a time; allowed is ${allowed}`);
}
