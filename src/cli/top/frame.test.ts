import test from 'ava';
import fc from 'fast-check';
import { fitColumns } from './columns.ts';
import { frame, printout, type View } from './frame.ts';
import type { Overview } from './overview.ts';
import { sampleAt, sampleNode, sampleRecord } from './testing/sample.ts';

const view: View = {
  ...{ columns: 80, rows: 24, order: 'name', scroll: 0, paused: false, help: false },
  ...{ intervalMs: 1000, trouble: null },
};
const progress = {
  phase: 'round' as const,
  ...{ round: 2, sentBytes: 30 * 2 ** 20, wireBytes: 0, ofBytes: 120 * 2 ** 20 },
  ...{ bytesPerSecond: null, dirtyBytesPerSecond: null, at: sampleAt, since: sampleAt - 1000 },
};
const overview: Overview = {
  nodes: [sampleNode(2), sampleNode(1, { load: 3 }), sampleNode(10, { agentAlive: false })],
  moves: [
    { record: sampleRecord(9, { state: 'completed', endedAt: sampleAt - 60_000, totalMs: 1900 }), progress: null },
    {
      record: sampleRecord(8, { state: 'queued', source: null, target: null, waitingFor: 'migration 7' }),
      progress: null,
    },
    { record: sampleRecord(7), progress },
  ],
  at: sampleAt,
};
const texts = (changes: Partial<View> = {}, of = overview) =>
  frame(of, { ...view, ...changes }).map(({ text }) => text);
const nodeNames = (lines: string[]) => lines.flatMap((line) => /^(n\d+) /.exec(line)?.[1] ?? []);

test('nodes in the order of their numbers, with load and memory', (t) => {
  const lines = texts();
  t.deepEqual(nodeNames(lines), ['n1', 'n2', 'n10']);
  t.regex(lines.find((line) => line.startsWith('n1 ')) ?? '', /up +mixed +2 +3\.00\/2 +3\.0 GiB of 4\.0 GiB +1/);
  t.regex(lines.find((line) => line.startsWith('n10 ')) ?? '', /down/);
});

test('a move under way has phase, bytes, rate and time to go, and comes first', (t) => {
  const lines = texts();
  const at = lines.findIndex((line) => line.startsWith('ID'));
  t.regex(lines[at + 1] ?? '', /^7 +42\.7 +alice +n1 +n2 +copying 2 +30\.0 MiB 25% +30\.0 MiB\/s +3 s$/);
  t.regex(lines[at + 2] ?? '', /^8 .*queued: mig/);
  t.regex(lines[at + 3] ?? '', /^9 .*completed +- +in 1900 ms +60 s ago$/);
  t.regex(lines[1] ?? '', /1 under way, 1 queued, 30\.0 MiB\/s; of the last 3: 1 completed, 0 failed/);
});

test('other orders of nodes, and trouble in the place of the summary', (t) => {
  t.is(nodeNames(texts({ order: 'load' }))[0], 'n1');
  t.is(texts({ trouble: '3 s old: the controller does not answer' })[1], '3 s old: the controller does not answer');
});

test('many nodes scroll to the last, and moves keep their place', (t) => {
  const many = { ...overview, nodes: Array.from({ length: 500 }, (_, index) => sampleNode(index + 1)) };
  t.deepEqual(nodeNames(texts({ scroll: 10_000 }, many)).at(-1), 'n500');
  t.true(texts({}, many).some((line) => line.startsWith('7 ')));
});

test('a picture never exceeds the terminal, whatever its size', (t) => {
  const size = fc.record({ columns: fc.integer({ min: 1, max: 200 }), rows: fc.integer({ min: 1, max: 60 }) });
  const counts = fc.record({ nodes: fc.nat(60), moves: fc.nat(60), help: fc.boolean(), scroll: fc.nat(100) });
  const property = fc.property(size, counts, ({ columns, rows }, { nodes, moves, help, scroll }) => {
    const some = {
      nodes: Array.from({ length: nodes }, (_, index) => sampleNode(index, { slurmStates: ['allocated', 'draining'] })),
      moves: Array.from({ length: moves }, (_, index) => ({ record: sampleRecord(index + 1), progress })),
      at: sampleAt,
    };
    const lines = texts({ columns, rows, help, scroll }, some);
    return lines.length === rows && lines.every((line) => line.length <= columns);
  });
  t.notThrows(() => fc.assert(property));
});

test('a printout has all nodes and moves, and no control characters', (t) => {
  const text = printout({ ...overview, nodes: Array.from({ length: 100 }, (_, index) => sampleNode(index)) });
  t.is(nodeNames(text.split('\n')).length, 100);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
  t.notRegex(text, /[\x00-\x09\x0b-\x1f]/);
});

test('the widest columns are cut first', (t) => {
  t.deepEqual(
    fitColumns(
      [
        ['id', 'a long word'],
        ['1', 'x'],
      ],
      10,
    ),
    ['id  a lon~', '1   x'],
  );
});
