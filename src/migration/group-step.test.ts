import test from 'ava';
import fc from 'fast-check';
import type { ContainerRecord } from './container.ts';
import { type GroupRecord, groupRecordSchema } from './group.ts';
import { joinsAs } from './group-member.ts';
import { afterLook, stepGroup, summaryOf } from './group-step.ts';
import { newMigration } from './machine.ts';
import type { MigrationRecord, MigrationState } from './record.ts';

function container(id: string, owner: string, fields: Partial<ContainerRecord> = {}): ContainerRecord {
  return {
    ...{ id, job: Number(id.split('.')[0]), index: 0, uid: 1000, user: 'alice', image: 'mpi', state: 'running', owner },
    ...{ epoch: 1, switch: '', migration: '', heading: '', moves: 0, run: '', startedAt: 0 },
    ...fields,
  };
}

function group(fields: Partial<GroupRecord> = {}): GroupRecord {
  return groupRecordSchema.parse({
    ...{ version: 1, revision: 0, id: 'e1', kind: 'evacuation', state: 'active', nodes: ['n2'], targets: [] },
    ...{ reason: '', requestedBy: { uid: 0, name: 'root' }, origin: 'command', members: [], cancelRequested: false },
    ...{ createdAt: 0, endedAt: null },
    ...fields,
  });
}

function migration(
  id: string,
  of: string,
  state: MigrationState,
  fields: Partial<MigrationRecord> = {},
): MigrationRecord {
  const request = { container: of, group: 'e1' };
  const fresh = newMigration({ id, container: of, job: 1, requestedBy: { uid: 0, name: 'root' }, request }, 0);
  return { ...fresh, state, ...fields };
}

function facts(containers: ContainerRecord[], migrations: MigrationRecord[] = [], now = 1000) {
  return {
    containers: new Map(containers.map((one) => [one.id, one])),
    migrations: new Map(migrations.map((one) => [one.id, one])),
    now,
  };
}

const member = { container: '1.0', job: 1, from: 'n2', to: 'n3', migration: null };
const members = (fields: object = {}) => [{ ...member, ...fields }] as GroupRecord['members'];

test('what is on the node joins, one that starts waits, and an empty node is done', (t) => {
  const {
    start,
    members: all,
    state,
  } = stepGroup(
    group(),
    facts([container('1.0', 'n2'), container('2.0', 'n2', { state: 'starting' }), container('3.0', 'n3')]),
  );
  t.deepEqual(start, ['1.0']);
  t.deepEqual(
    all.map(({ container: id, state: how }) => [id, how]),
    [
      ['1.0', 'waiting'],
      ['2.0', 'waiting'],
    ],
  );
  t.is(state, 'active');
  t.is(stepGroup(group(), facts([])).state, 'completed');
});

test('a move that a dead driver queued is taken for its own, not made again', (t) => {
  const step = stepGroup(
    group({ members: members() }),
    facts([container('1.0', 'n2')], [migration('7', '1.0', 'queued')]),
  );
  t.deepEqual(step.start, []);
  t.like(step.members[0], { migration: '7', state: 'moving' });
});

test('a slurmctld that is away is waited for as long as it takes; a set of moves ends', (t) => {
  const silent = migration('7', '1.0', 'rolled-back', { error: { code: 'E_SLURM', message: 'no answer' } });
  const look = (tries: number, kind: GroupRecord['kind'] = 'evacuation') =>
    stepGroup(group({ kind, members: members({ migration: '7', tries }) }), facts([container('1.0', 'n2')], [silent]));
  for (const tries of [1, 2, 3]) {
    const { members: all, state } = look(tries);
    t.like(all[0], { state: 'waiting', migration: null, notBefore: 6000 });
    t.true((all[0]?.tries ?? 9) < 3, 'the try does not count');
    t.is(all[0]?.reasons[0]?.message, 'no answer');
    t.is(state, 'active');
  }
  t.is(look(1, 'set').state, 'incomplete');
});

test('what fails for a passing reason is tried again, three times, later each time; other reasons keep it', (t) => {
  const failed = migration('7', '1.0', 'rolled-back', { error: { code: 'E_LINK', message: 'cut' } });
  const at = (tries: number) =>
    stepGroup(group({ members: members({ migration: '7', tries }) }), facts([container('1.0', 'n2')], [failed]))
      .members[0];
  t.like(at(1), { state: 'waiting', migration: null, notBefore: 3000 });
  t.like(at(2), { state: 'waiting', notBefore: 5000 });
  t.like(at(3), { state: 'stays' });
  const gpu = { ...failed, state: 'refused' as const, error: { code: 'E_REFUSED', message: 'a GPU' } };
  const step = stepGroup(
    group({ members: members({ migration: '7', tries: 1 }) }),
    facts([container('1.0', 'n2')], [gpu]),
  );
  t.like(step.members[0], { state: 'stays', reasons: [{ code: 'E_REFUSED', message: 'a GPU' }] });
  t.is(step.state, 'incomplete');
  t.is(summaryOf(step.members), '0 of 1 moved, 1 stays');
});

test('called off: what has not begun does not, what has is called off, what is past its commit goes on', (t) => {
  const off = group({
    cancelRequested: true,
    members: [
      ...members(),
      ...members({ container: '2.0', migration: '7' }),
      ...members({ container: '3.0', migration: '8' }),
    ],
  });
  const seen = facts(
    ['1.0', '2.0', '3.0'].map((id) => container(id, 'n2')),
    [migration('7', '2.0', 'copying'), migration('8', '3.0', 'finishing')],
  );
  const step = stepGroup(off, seen);
  t.deepEqual(step.cancel, ['7']);
  t.deepEqual(
    step.members.map(({ state }) => state),
    ['cancelled', 'moving', 'moving'],
  );
});

test('a job that ends takes its containers out; one that somebody else moved has left', (t) => {
  t.like(stepGroup(group({ members: members() }), facts([])).members[0], { state: 'ended' });
  t.like(stepGroup(group({ members: members() }), facts([container('1.0', 'n9')])).members[0], {
    state: 'moved',
    to: 'n9',
  });
});

test('whatever the records say, what is settled stays so, nothing is moved twice, and all settled is the end', (t) => {
  const states = fc.constantFrom<MigrationState>(
    'queued',
    'copying',
    'finishing',
    'completed',
    'refused',
    'rolled-back',
    'cancelled',
    'lost',
  );
  const one = fc.record({ owner: fc.constantFrom('n2', 'n3', 'gone'), state: fc.option(states), tries: fc.nat(3) });
  fc.assert(
    fc.property(
      fc.array(fc.array(one, { minLength: 3, maxLength: 3 }), { maxLength: 12 }),
      fc.boolean(),
      (looks, off) => {
        let now = group({ cancelRequested: off });
        for (const [turn, look] of looks.entries()) {
          const ids = look.map((_, index) => `${index + 1}.0`);
          const containers = look.flatMap(({ owner }, index) =>
            owner === 'gone' ? [] : [container(ids[index] ?? '', owner)],
          );
          const migrations = look.flatMap(({ state }, index) =>
            state === null ? [] : [migration(String(index + 1), ids[index] ?? '', state)],
          );
          const step = stepGroup(now, facts(containers, migrations, turn * 10_000));
          for (const id of step.start) {
            const found = step.members.find((candidate) => candidate.container === id);
            if (found?.migration !== null || found.state !== 'waiting') throw new Error(`${id} moves already`);
            if (
              migrations.some(
                (other) => other.container === id && ['queued', 'copying', 'finishing'].includes(other.state),
              )
            )
              throw new Error(`a second move of ${id}`);
            if (off) throw new Error('a new move of what was called off');
          }
          for (const before of now.members.filter(({ state }) =>
            ['moved', 'stays', 'ended', 'cancelled', 'lost'].includes(state),
          )) {
            if (!step.members.includes(before)) throw new Error(`${before.container} was settled`);
          }
          const open = step.members.some(({ state }) => state === 'waiting' || state === 'moving');
          if (open !== (step.state === 'active')) throw new Error(`${step.state} with ${summaryOf(step.members)}`);
          now = { ...now, members: step.members };
        }
      },
    ),
  );
  t.pass();
});

test('a set is the moves that it was made of: none is begun anew, and each says how it ended', (t) => {
  const ids = ['1.0', '1.1', '2.0', '3.0', '4.0'];
  const set = group({
    kind: 'set',
    members: ids.map((id, index) => ({
      ...members()[0],
      container: id,
      to: null,
      migration: String(index + 1),
      tries: 1,
    })),
  } as Partial<GroupRecord>);
  const error = { code: 'E_LINK', message: 'the link broke', retryable: true };
  const { members: all, ...step } = stepGroup(
    set,
    facts(
      ids.slice(0, 4).map((id) => container(id, 'n2')),
      [
        migration('1', '1.0', 'completed', { target: 'n3' }),
        migration('2', '1.1', 'rolled-back', { error }),
        migration('3', '2.0', 'copying', { target: 'n4' }),
        // The fourth is forgotten, and the fifth's job has ended since.
        migration('5', '4.0', 'completed', { target: 'n3' }),
      ],
    ),
  );
  t.deepEqual(
    all.map(({ state, to }) => [state, to]),
    [
      ['moved', 'n3'],
      ['stays', null],
      ['moving', 'n4'],
      ['stays', null],
      ['moved', 'n3'],
    ],
  );
  t.deepEqual(all[1]?.reasons, [{ code: 'E_LINK', message: 'the link broke' }]);
  t.deepEqual(step, { start: [], cancel: [], state: 'active' });
});

test('a look that another has overtaken writes nothing; one that was called off meanwhile does not end by it', (t) => {
  const before = group({ members: [{ container: '1.0', job: 1, from: 'n2', to: 'n3', migration: null }] as never });
  const members = before.members.map((member) => ({ ...member, state: 'moving' as const, migration: '7' }));
  t.deepEqual(afterLook(before, before, members, 'completed', 5), {
    ...before,
    members,
    state: 'completed',
    endedAt: 5,
  });
  const off = { ...before, cancelRequested: true };
  t.deepEqual(afterLook(before, off, members, 'completed', 5), { ...off, members });
  const overtaken = { ...before, members: members.map((member) => ({ ...member, migration: '6' })) };
  t.is(afterLook(before, overtaken, members, 'active', 5), null);
  t.is(afterLook(before, { ...before, state: 'cancelled' }, members, 'active', 5), null);
});

test('a return that was placed while Slurm was silent is placed again later, and is over where somebody brought it back', (t) => {
  const member = joinsAs({ container: '1.0', job: 1, from: 'n3' }, { to: null, reasons: [] }, [], {
    slurmSilent: true,
    now: 1000,
  });
  const back = group({ kind: 'return', members: [member] });
  const at = (now: number, owner = 'n3') => stepGroup(back, facts([container('1.0', owner)], [], now));
  t.deepEqual([at(2000).state, at(2000).start], ['active', []]);
  t.deepEqual([at(6000).state, at(6000).start], ['active', ['1.0']]);
  t.deepEqual([at(6000, 'n2').state, at(6000, 'n2').start], ['completed', []]);
});

test('a move refused because Slurm named no node is begun again however often that happens', (t) => {
  const refused = { reasons: [{ code: 'slurm-silent', message: 'silent' }] } as unknown as MigrationRecord['plan'];
  const member = { container: '1.0', job: 1, from: 'n2', to: 'n3', migration: '7', tries: 3 };
  const before = group({ members: [member] as never });
  const step = stepGroup(
    before,
    facts([container('1.0', 'n2')], [migration('7', '1.0', 'refused', { plan: refused })]),
  );
  t.like(step.members[0], { state: 'waiting', migration: null, notBefore: 6000 });
});
