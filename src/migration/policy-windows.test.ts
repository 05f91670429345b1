import test from 'ava';
import fc from 'fast-check';
import { describeWindow, isOpen, nextOpening, parseWindows, type Window } from './policy-windows.ts';

const berlin = 'Europe/Berlin';
const at = (text: string) => Temporal.PlainDateTime.from(text).toZonedDateTime(berlin).epochMilliseconds;
const local = (ms: number | null) =>
  ms === null
    ? null
    : Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(berlin).toPlainDateTime().toString();

function windows(text: string): readonly Window[] {
  const read = parseWindows(text);
  if (!read.ok) throw new Error(`${text}: ${read.allowed}`);
  return read.value;
}

test('a window over midnight opens in the evening and closes in the morning', (t) => {
  const night = windows('22:00-06:00');
  for (const [time, open] of [
    ['21:59', false],
    ['22:00', true],
    ['05:59', true],
    ['06:00', false],
  ] as const)
    t.is(isOpen(night, at(`2026-06-10T${time}`), berlin), open, time);
  t.is(local(nextOpening([night], at('2026-06-10T12:00'), berlin)), '2026-06-10T22:00:00');
  t.is(local(nextOpening([night], at('2026-06-10T23:30'), berlin)), '2026-06-10T23:30:00');
});

test('days are those on which a window opens', (t) => {
  // 2026-06-12 is a Friday.
  const weekdays = windows('Mon-Fri@22:00-06:00');
  t.true(isOpen(weekdays, at('2026-06-13T05:00'), berlin));
  t.false(isOpen(weekdays, at('2026-06-13T23:00'), berlin));
  t.is(local(nextOpening([weekdays], at('2026-06-13T06:00'), berlin)), '2026-06-15T22:00:00');
  t.is(local(nextOpening([windows('Sat-Sun@00:00-24:00')], at('2026-06-10T06:00'), berlin)), '2026-06-13T00:00:00');
  t.true(isOpen(windows('Fri-Mon@10:00-11:00'), at('2026-06-14T10:30'), berlin));
});

test('several lists must be open at once, and may never be', (t) => {
  const night = windows('22:00-06:00');
  t.is(local(nextOpening([night, windows('05:00-09:00')], at('2026-06-10T12:00'), berlin)), '2026-06-11T05:00:00');
  t.is(nextOpening([night, windows('12:00-13:00')], at('2026-06-10T12:00'), berlin), null);
  const weekend = windows('2026-12-05T20:00/2026-12-06T20:00');
  t.is(local(nextOpening([night, weekend], at('2026-06-10T12:00'), berlin)), '2026-12-05T22:00:00');
  t.is(nextOpening([weekend], at('2027-01-01T00:00'), berlin), null, 'a window in the past');
});

test('a day without the hour has no window in it', (t) => {
  // Clocks go from 02:00 to 03:00 on 2026-03-29.
  t.is(local(nextOpening([windows('02:15-02:45')], at('2026-03-28T12:00'), berlin)), '2026-03-30T02:15:00');
  t.is(local(nextOpening([windows('02:15-04:00')], at('2026-03-28T12:00'), berlin)), '2026-03-29T03:15:00');
});

test('what is no window', (t) => {
  const texts = [
    '',
    '22:00',
    '22:00-22:00',
    '24:00-06:00',
    '22:00-00:00',
    '25:00-26:00',
    '10:60-11:00',
    'Xyz@10:00-11:00',
  ];
  texts.push(
    '2026-01-02T10:00/2026-01-01T10:00',
    '2026-02-30T10:00/2026-03-01T10:00',
    '2026-01-01/2026-01-02',
    '10:00-11:00,',
  );
  for (const text of texts) t.false(parseWindows(text).ok, text);
});

const daily = fc
  .tuple(
    fc.integer({ min: 0, max: 1439 }),
    fc.integer({ min: 1, max: 1440 }),
    fc.constantFrom('', 'Mon@', 'Mon-Fri@', 'Sat-Sun@', 'Sun-Tue@'),
  )
  .filter(([from, to]) => from !== to)
  .map(([from, to, days]) => {
    const clock = (minute: number) =>
      `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
    return `${days}${clock(from)}-${clock(to)}`;
  });
const list = fc.array(daily, { minLength: 1, maxLength: 3 }).map((texts) => texts.join(','));

test('property: a window reads as it is described', (t) => {
  fc.assert(fc.property(list, (text) => t.is(windows(text).map(describeWindow).join(','), text)));
});

test('property: the next opening is open, and nothing before it is', (t) => {
  fc.assert(
    fc.property(
      fc.array(list, { minLength: 1, maxLength: 2 }),
      fc.integer({ min: 0, max: 400 * 24 * 60 }),
      (texts, minutes) => {
        const lists = texts.map(windows);
        const from = at('2026-01-01T00:00') + minutes * 60_000;
        const opening = nextOpening(lists, from, berlin);
        if (opening !== null) t.true(lists.every((one) => isOpen(one, opening, berlin)));
        // Looked at every quarter of an hour: what is open there must not have been passed over.
        for (let moment = from; moment < (opening ?? from + 8 * 86_400_000); moment += 900_000)
          t.false(
            lists.every((one) => isOpen(one, moment, berlin)),
            local(moment) ?? '',
          );
      },
    ),
    { numRuns: 40 },
  );
});
