import test from 'ava';
import type { GroupMember, GroupRecord } from '../migration/group.ts';
import { describeGroup, groupTable } from './describe-group.ts';
import { exitOf } from './evacuate.ts';

const member = (container: string, fields: Partial<GroupMember> = {}): GroupMember => ({
  ...{ container, job: 42, from: 'n2', to: 'n3', migration: '7', tries: 1, state: 'moved', notBefore: 0, reasons: [] },
  ...fields,
});
const stays = member('42.1', {
  ...{ to: null, migration: null, state: 'stays' },
  reasons: [{ code: 'no-target', message: 'no node has 8 CPUs free' }],
});
const group = (members: GroupMember[], fields: Partial<GroupRecord> = {}): GroupRecord => ({
  ...{ version: 1, revision: 3, id: 'e3', kind: 'evacuation', state: 'completed', nodes: ['n2', 'n4'], targets: [] },
  ...{ reason: 'disks', requestedBy: { uid: 0, name: 'root' }, origin: 'command', cancelRequested: false },
  ...{ waitingFor: null, createdAt: 0, endedAt: 2500, members },
  ...fields,
});

test('the exit code says how an evacuation ended', (t) => {
  const codes = [
    [0, group([])],
    [0, group([member('42.0'), member('42.1', { state: 'ended' })])],
    [3, group([stays], { state: 'incomplete' })],
    [4, group([member('42.0'), stays], { state: 'incomplete' })],
    [4, group([member('42.0', { state: 'cancelled' })], { state: 'cancelled' })],
    [5, group([member('42.0', { state: 'lost' })], { state: 'incomplete' })],
    [
      5,
      group([{ ...stays, reasons: [{ code: 'needs-operator', message: 'rankshift resolve 7' }] }], {
        state: 'incomplete',
      }),
    ],
  ] as const;
  for (const [code, record] of codes) t.is(exitOf(record), code, JSON.stringify(record.members));
});

test('a group in full names each container, and why it stays', (t) => {
  const text = describeGroup(group([member('42.0'), stays], { state: 'incomplete', targets: ['n3'] }), []);
  const lines = text.split('\n');
  t.is(lines[0], 'evacuation e3 of n[2,4]: incomplete, 1 of 2 moved, 1 stays, took 2500 ms');
  t.regex(lines[1] ?? '', /requested by root \(command\) .*, reason: disks$/);
  t.deepEqual(lines.slice(2), [
    '  only to n3',
    '  42.0  n2 -> n3  moved (7)',
    '  42.1  n2  stays: no node has 8 CPUs free',
  ]);
});

test('the list of groups says who asked, or what', (t) => {
  const text = groupTable([group([member('42.0')]), group([stays], { id: 'e4', origin: 'trigger' })], true);
  t.regex(text, /^e3 +evacuation +completed +n\[2,4\] +root +1 of 1 moved/m);
  t.regex(text, /^e4 .* trigger +0 of 1 moved, 1 stays/m);
});
