import test from 'ava';
import fc from 'fast-check';
import {
  type AllocationFacts,
  allocationComment,
  decideAllocation,
  lacksRoom,
  limitIsStale,
  neededNodes,
  parseShadowComment,
  shadowComment,
  shadowMinutes,
  withComment,
} from './allocation.ts';

const quiet: AllocationFacts = {
  nodes: ['n1', 'n2'],
  batchHost: 'n1',
  stepNodes: [],
  containers: [
    { id: '7.0', nodes: ['n1'] },
    { id: '7.1', nodes: ['n2'] },
  ],
  shadows: [],
  touched: [],
  whole: false,
};
const none = { cancel: [], reassign: [], hold: [], release: [], stay: [] };

test('a job that has not moved is left alone', (t) => {
  t.deepEqual(decideAllocation(quiet), none);
});

test('a node without containers is given back only if one has left it', (t) => {
  const facts = { ...quiet, nodes: ['n1', 'n2', 'n3'] };
  t.deepEqual(decideAllocation(facts), none);
  t.deepEqual(decideAllocation({ ...facts, touched: ['n3'] }).release, ['n3']);
});

test('neither the host of the script nor a node with a step of srun is given back', (t) => {
  const containers = [
    { id: '7.0', nodes: ['n3'] },
    { id: '7.1', nodes: ['n3'] },
  ];
  const shadows = [{ slurmJob: 8, node: 'n3', containers: ['7.0', '7.1'] }];
  const facts = { ...quiet, containers, shadows, touched: ['n1', 'n2'], stepNodes: ['n2'] };
  const decision = decideAllocation(facts);
  t.deepEqual(decision.release, []);
  t.deepEqual(
    decision.stay.map(({ node }) => node),
    ['n1', 'n2'],
  );
});

test('the source of a move is needed until it was cleared: it may be all that has the memory', (t) => {
  const move = { source: 'n2', target: 'n3' };
  t.deepEqual(neededNodes('n2', undefined, { cleared: false }), ['n2']);
  t.deepEqual(neededNodes('n2', move, { cleared: false }), ['n2', 'n3']);
  t.deepEqual(neededNodes('n3', move, { cleared: false }), ['n3', 'n2']);
  t.deepEqual(neededNodes('n3', move, { cleared: true }), ['n3']);
  t.deepEqual(neededNodes('n2', { source: null, target: null }, { cleared: false }), ['n2']);
});

test('while a move is under way both of its nodes are held; after it one is', (t) => {
  const shadow = { slurmJob: 8, node: 'n3', containers: ['7.1'] };
  const moving = { id: '7.1', nodes: ['n2', 'n3'] };
  const facts = { ...quiet, shadows: [shadow], touched: ['n2', 'n3'] };
  const others = quiet.containers.slice(0, 1);
  t.deepEqual(decideAllocation({ ...facts, containers: [...others, moving] }), none);
  t.deepEqual(decideAllocation({ ...facts, containers: [...others, { id: '7.1', nodes: ['n3'] }] }).release, ['n2']);
  t.deepEqual(decideAllocation({ ...facts }).cancel, [shadow]);
});

test('a shadow of a whole node does for all containers that come there', (t) => {
  const containers = [
    { id: '7.0', nodes: ['n3'] },
    { id: '7.1', nodes: ['n3'] },
  ];
  const facts = { ...quiet, containers, whole: true };
  t.is(decideAllocation(facts).hold.length, 1);
  const shadows = [{ slurmJob: 8, node: 'n3', containers: ['7.0'] }];
  const decision = decideAllocation({ ...facts, shadows });
  t.deepEqual(decision.reassign, [{ slurmJob: 8, node: 'n3', containers: ['7.0', '7.1'] }]);
  t.deepEqual(decision.hold, []);
  t.is(decideAllocation({ ...facts, shadows, whole: false }).hold.length, 1);
});

const node = fc.constantFrom('n1', 'n2', 'n3', 'n4', 'n5');
const anyFacts: fc.Arbitrary<AllocationFacts> = fc.record({
  nodes: fc.uniqueArray(node, { minLength: 1 }),
  batchHost: node,
  stepNodes: fc.uniqueArray(node),
  containers: fc
    .array(fc.uniqueArray(node, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 4 })
    .map((all) => all.map((nodes, index) => ({ id: `7.${index}`, nodes }))),
  shadows: fc
    .array(fc.tuple(node, fc.integer({ min: 0, max: 4 })), { maxLength: 4 })
    .map((all) => all.map(([at, index], n) => ({ slurmJob: 8 + n, node: at, containers: [`7.${index}`] }))),
  touched: fc.uniqueArray(node),
  whole: fc.boolean(),
});

test('what is decided holds every node of a container and nothing twice, and is decided once', (t) => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const { cancel, reassign, hold, release } = decideAllocation(facts);
      const nodes = facts.nodes.filter((name) => !release.includes(name));
      const shadows = facts.shadows
        .filter((shadow) => !cancel.includes(shadow))
        .map((shadow) => reassign.find(({ slurmJob }) => slurmJob === shadow.slurmJob) ?? shadow)
        .concat(hold.map((one, index) => ({ slurmJob: 100 + index, node: one.node, containers: [one.container] })));
      for (const { id, nodes: at } of facts.containers) {
        for (const name of at) {
          const holders = shadows.filter(
            (shadow) => shadow.node === name && (facts.whole || shadow.containers.includes(id)),
          );
          if (nodes.includes(name)) t.is(holders.length, 0);
          else t.is(holders.length, 1);
        }
      }
      t.false(release.some((name) => name === facts.batchHost || facts.stepNodes.includes(name)));
      const after = decideAllocation({ ...facts, nodes, shadows });
      t.deepEqual([after.cancel, after.hold, after.release], [[], [], []]);
    }),
  );
});

test('comments are read back, and nothing else is taken for one', (t) => {
  t.deepEqual(parseShadowComment(shadowComment('42.1', '7')), { job: 42, container: '42.1', migration: '7' });
  t.is(parseShadowComment('rankshift: shadow of 42.1 for move 7; rm'), null);
  t.is(parseShadowComment(''), null);
});

test("our words stand beside those of others in a job's comment, and go without a trace", (t) => {
  const first = withComment('site | note', 'rankshift: 42.1 on n3 (job 43)');
  t.is(first, 'site | note | rankshift: 42.1 on n3 (job 43)');
  t.is(withComment(first, 'rankshift: n1 has no ranks'), 'site | note | rankshift: n1 has no ranks');
  t.is(withComment(first, ''), 'site | note');
  const shadows = [{ slurmJob: 43, node: 'n3', containers: ['42.1'] }];
  const places = { '42.0': 'n4', '42.1': 'n3' };
  const text = allocationComment(places, { nodes: ['n1'], shadows, stay: [{ node: 'n1', why: 'script' }] });
  t.is(text, 'rankshift: 42.1 on n3 (job 43), 42.0 on n4, not held, n1 has no ranks');
  t.is(allocationComment({ '42.0': 'n1' }, { nodes: ['n1'], shadows: [], stay: [] }), '');
});

test('a shadow ends with its job; that of a job without limit is prolonged', (t) => {
  t.is(shadowMinutes(0, 90_000, 0), 2);
  t.is(shadowMinutes(0, 0, 0), 1);
  const week = shadowMinutes(0, undefined, 0);
  t.is(week, 7 * 24 * 60);
  t.false(limitIsStale(week, shadowMinutes(0, undefined, 3_600_000), true));
  t.true(limitIsStale(week, shadowMinutes(0, undefined, 2 * 86_400_000), true));
  t.true(limitIsStale(30, 45, false));
});

test('room is processors, memory where Slurm hands it out, and all of the node for a job with whole nodes', (t) => {
  const free = { name: 'n3', cpus: 4, allocatedCpus: 2, memoryMiB: 1000, allocatedMemoryMiB: 900 };
  const share = { cpus: 2, memoryMiB: null, whole: false, tasks: 2 };
  t.is(lacksRoom(free, share), null);
  t.regex(lacksRoom(free, { ...share, cpus: 3 }) ?? '', /2 processors free/);
  t.regex(lacksRoom(free, { ...share, memoryMiB: 200 }) ?? '', /100 MiB free/);
  t.regex(lacksRoom(free, { ...share, whole: true }) ?? '', /other jobs/);
});
