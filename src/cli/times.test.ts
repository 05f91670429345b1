import test from 'ava';
import { parseTime } from './times.ts';

const timeZone = 'Europe/Berlin';
// A Wednesday, 10:30 local.
const nowMs = Date.parse('2026-06-10T08:30:00Z');
const next = (text: string) =>
  new Date(parseTime('--not-before', text, { nowMs, timeZone, ofDay: 'next' })).toISOString();
const today = (text: string) => new Date(parseTime('-S', text, { nowMs, timeZone, ofDay: 'today' })).toISOString();

test('a time of day is the next one for a begin, and the one of today for a report', (t) => {
  t.is(next('22:00'), '2026-06-10T20:00:00.000Z');
  t.is(next('9:00'), '2026-06-11T07:00:00.000Z');
  t.is(today('09:00'), '2026-06-10T07:00:00.000Z');
  t.is(next('midnight'), '2026-06-10T22:00:00.000Z');
});

test('dates, words and distances as Slurm takes them', (t) => {
  t.is(next('2026-07-01'), '2026-06-30T22:00:00.000Z');
  t.is(next('2026-07-01T06:30'), '2026-07-01T04:30:00.000Z');
  t.is(next('now+2hours'), '2026-06-10T10:30:00.000Z');
  t.is(today('now-1day'), '2026-06-09T08:30:00.000Z');
  t.is(next('tomorrow'), '2026-06-10T22:00:00.000Z');
  t.is(today('today'), '2026-06-09T22:00:00.000Z');
  t.is(today('06/09/26-12:00:00'), '2026-06-09T10:00:00.000Z');
});

test('what is no time is refused with what is allowed', (t) => {
  for (const text of ['', '25:00', '12:60', '02/30', '2026-13-01', 'now+3fortnights', 'yesterday', '22:00-06:00']) {
    t.throws(() => next(text), { code: 'E_BAD_INPUT', message: /not a time; allowed is HH:MM/ }, text);
  }
});
