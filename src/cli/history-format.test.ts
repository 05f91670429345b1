import test from 'ava';
import type { HistoryEntry } from '../migration/history.ts';
import { historyTable, parsable, parseFormat } from './history-format.ts';

const entry: HistoryEntry = {
  ...{ id: '7', container: '42.1', job: 42, user: 'alice', by: 'root', group: null, state: 'needs-operator' },
  ...{ source: 'n2', target: 'n3', strategy: 'pre-copy', submittedAt: 0, startedAt: 0, endedAt: null, queuedMs: 5 },
  ...{ totalMs: null, downtimeMs: 123.4, stallMs: null, predictedDowntimeMs: 100, bytes: 2048, wireBytes: null },
  ...{ errorCode: 'E_AGENT', reason: 'no | answer' },
};

test('columns are as wide as their longest cell, or as told and cut with a +', (t) => {
  t.is(
    historyTable(parseFormat('ID,State,downtime,Bytes,Stall'), [entry], false),
    ['ID  STATE           DOWNTIME  BYTES    STALL', '7   NEEDS_OPERATOR  123 ms    2.0 KiB  -'].join('\n'),
  );
  t.is(historyTable(parseFormat('State%8,To%-4,ID%3'), [entry], true), 'NEEDS_O+  n3      7');
  t.is(historyTable(parseFormat('End'), [entry], true), 'Unknown');
});

test('--parsable2 has numbers, nothing at the end of a line, and no separator in a field', (t) => {
  t.is(
    parsable(parseFormat('JobID,Downtime,Bytes,Group,Reason,Total'), [entry], false),
    ['JobID|Downtime|Bytes|Group|Reason|Total', '42.1|123|2048||no   answer|'].join('\n'),
  );
});

test('an unknown field or width is refused with those that are known', (t) => {
  for (const format of ['', 'ID,', 'Colour', 'ID%0', 'ID%x', 'ID 3']) {
    t.throws(() => parseFormat(format), { code: 'E_BAD_INPUT', message: /fields are ID, JobID, User/ }, format);
  }
});
