import test from 'ava';
import { XMLValidator } from 'fast-xml-parser';
import { newMigration } from '../migration/machine.ts';
import { type MigrationRecord, unmeasured } from '../migration/record.ts';
import { gantt } from './gantt.ts';
import { reportHtml } from './report-html.ts';

const t0 = 1_700_000_000_000;

function moved(index: number, more: Partial<MigrationRecord> = {}): MigrationRecord {
  const container = `42.${index}`;
  const fresh = newMigration(
    { id: String(index + 1), container, job: 42, requestedBy: { uid: 1000, name: 'alice' }, request: { container } },
    t0,
  );
  return {
    ...fresh,
    state: 'completed',
    source: 'n1',
    target: 'n2',
    endedAt: t0 + 3456,
    totalMs: 3456,
    phases: [
      { name: 'queued', at: t0, ms: 10 },
      { name: 'copying', at: t0 + 10, ms: 2000 },
      { name: 'completed', at: t0 + 3456, ms: 0 },
    ],
    result: {
      ...unmeasured,
      outcome: 'committed',
      downtimeMs: 321.4,
      stallMs: 345.6,
      bytes: { pages: 256 * 2 ** 20, upper: 0, metadata: 2 ** 19, wire: 100 * 2 ** 20 },
      timeline: [
        { name: 'round 1', node: 'n1', at: t0 + 20, ms: 1500 },
        { name: 'frozen', node: 'n1', at: t0 + 2010 },
        { name: 'dump', node: 'n1', at: t0 + 2020, ms: 120 },
        { name: 'restore', node: 'n2', at: t0 + 2100, ms: 150 },
      ],
    },
    ...more,
  };
}

/** XML but for what HTML has without an end. */
function wellFormed(html: string): true | unknown {
  const body = html.replace('<!DOCTYPE html>', '').replace(/<meta[^>]*>/g, '');
  return XMLValidator.validate(body);
}

test('a report is one well-formed file with its figures, and nothing from elsewhere', (t) => {
  const html = reportHtml('migration 1', ['asked by alice'], [moved(0), moved(1)]);
  t.is(wellFormed(html), true);
  for (const figure of ['321 ms', '346 ms', '3456 ms', '256.0 MiB', '100.0 MiB', '0.5 MiB', '42.1', 'n1 → n2']) {
    t.true(html.includes(figure), figure);
  }
  // Phases of both, and the switch of each from its freeze: the round before it is not part of that.
  t.is(html.match(/<svg /g)?.length, 3);
  t.regex(html, /<title>copying, 2000 ms<\/title>/);
  t.regex(html, />n2: restore, 150 ms</);
  t.notRegex(html, />n1: round 1/);
  t.notRegex(html, /<script|src=|href=|url\(|@import/);
});

test('of a group the schedule stands there as it was predicted, too', (t) => {
  const moves = [{ id: '42.0', copyFromMs: 700, stopFromMs: 2700, endMs: 3000 }];
  const html = reportHtml('Group e1', [], [moved(0)], { makespanMs: 3000, moves, unknown: [] });
  t.is(wellFormed(html), true);
  t.is(html.match(/<svg /g)?.length, 3);
  t.regex(html, /As their plans predicted it.*<title>stopped, 300 ms<\/title>/s);
});

test('what comes from outside is text, wherever it stands', (t) => {
  const evil = `<script>alert("1")</script>'&\u0007`;
  const error = { code: 'E_CRIU', message: evil };
  const record = moved(0, { state: 'rolled-back', source: evil, target: evil, error });
  const result = { ...unmeasured, timeline: [{ name: evil, node: evil, at: t0, ms: 1 }] };
  const html = reportHtml(evil, [evil], [{ ...record, result }]);
  t.is(wellFormed(html), true);
  t.false(html.includes('<script'));
  t.false(html.includes('\u0007'));
  t.true(html.includes('&lt;script&gt;alert(&quot;1&quot;)'));
});

test('a move of which nothing was measured has a report too', (t) => {
  const record = moved(0, { state: 'refused', result: null, plan: null, endedAt: null, totalMs: null });
  t.is(wellFormed(reportHtml('migration 1', [], [record])), true);
  t.is(wellFormed(reportHtml('group e1', [], [])), true);
  t.is(gantt([]), '<p>nothing was measured</p>');
});

test('bars lie on one axis, with round numbers below', (t) => {
  const bar = (from: number, to: number) => ({ from, to, colour: '#000000', title: 'x' });
  const svg = gantt([
    { label: 'a', bars: [bar(1000, 1500)] },
    { label: 'b', bars: [bar(1500, 2000)] },
  ]);
  const [first, second] = [...svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/g)].map(([, x, width]) => ({
    x: Number(x),
    width: Number(width),
  }));
  t.is(first?.width, second?.width);
  t.true(Math.abs((first?.x ?? 0) + (first?.width ?? 0) - (second?.x ?? 0)) < 0.2);
  t.regex(svg, />0 ms</);
  t.regex(svg, />1000 ms</);
});
