import test from 'ava';
import fc from 'fast-check';
import { type Demand, type PlacementInput, type PlacementNode, place } from './placement.ts';
import { distance } from './room.ts';

const mib = 1_048_576;

function node(name: string, fields: Partial<PlacementNode> = {}): PlacementNode {
  return {
    ...{ name, barred: null, memoryFreeBytes: 1024 * mib, cpusFree: 4, cpuFlags: ['avx', 'sse2'], switches: [] },
    ...fields,
  };
}

function demand(container: string, from: string, fields: Partial<Demand> = {}): Demand {
  return { container, job: Number(container.split('.')[0]), from, memoryBytes: 100 * mib, cpus: 1, ...fields };
}

function targets(input: Omit<PlacementInput, 'present'> & { present?: PlacementInput['present'] }): (string | null)[] {
  return place({ present: new Map(), ...input }).map(({ to }) => to);
}

const leaving = { barred: 'n1 is being emptied' };

test('a container goes to the node with most room; what is given once is not given again', (t) => {
  const nodes = [node('n1', leaving), node('n2', { cpusFree: 1 }), node('n3', { cpusFree: 2 })];
  const demands = ['1.0', '2.0', '3.0', '4.0'].map((id) => demand(id, 'n1'));
  const placements = place({ nodes, demands, present: new Map() });
  t.deepEqual(
    placements.map(({ to }) => to),
    ['n3', 'n2', 'n3', null],
  );
  t.deepEqual(placements[3]?.reasons, [
    {
      code: 'no-target',
      message:
        'no other node can take 4.0, which needs 1 CPU and 100 MiB of memory: n2 has 0 CPUs and 924 MiB free; n3 has 0 CPUs and 824 MiB free',
    },
  ]);
});

test('containers of one job are spread', (t) => {
  const nodes = [node('n1', leaving), node('n2', { cpusFree: 8 }), node('n3', { cpusFree: 2 })];
  const present = new Map([[1, new Map([['n1', 1]]).set('n2', 1)]]);
  t.deepEqual(targets({ nodes, demands: [demand('1.1', 'n1')], present }), ['n3']);
  const full = nodes.map((one) => (one.name === 'n3' ? { ...one, cpusFree: 0 } : one));
  t.deepEqual(targets({ nodes: full, demands: [demand('1.1', 'n1')], present }), ['n2']);
});

test('the same switch comes first, then the nearest', (t) => {
  const at = (name: string, leaf: string, fields: Partial<PlacementNode> = {}) =>
    node(name, { switches: [leaf, leaf < 's3' ? 'left' : 'right', 'core'], ...fields });
  const far = at('n7', 's3', { cpusFree: 64 });
  const near = at('n4', 's2', { cpusFree: 9 });
  const same = at('n2', 's1');
  const source = at('n1', 's1', leaving);
  const demands = [demand('1.0', 'n1')];
  t.deepEqual(targets({ nodes: [source, far, near, same], demands }), ['n2']);
  t.deepEqual(targets({ nodes: [source, far, near, { ...same, cpusFree: 0 }], demands }), ['n4']);
  t.deepEqual(targets({ nodes: [source, far, { ...same, memoryFreeBytes: 1 }], demands }), ['n7']);
  t.is(distance(['a', 'x'], ['a', 'x']), 0);
  t.is(distance(['a', 'x'], ['b', 'x']), 1);
  t.is(distance([], ['a']), 1);
});

test('a CPU that lacks instructions of the source is no target', (t) => {
  const nodes = [
    node('n1', leaving),
    node('n2', { cpuFlags: ['sse2'] }),
    node('n3', { cpuFlags: ['amx', 'avx', 'sse2'] }),
  ];
  t.deepEqual(targets({ nodes, demands: [demand('1.0', 'n1')] }), ['n3']);
  const [placement] = place({ nodes: nodes.slice(0, 2), demands: [demand('1.0', 'n1')], present: new Map() });
  t.regex(placement?.reasons[0]?.message ?? '', /the CPU of n2 lacks instructions that n1 has$/);
});

test('CPUs that the job holds anyhow serve its own containers, where none are free', (t) => {
  const nodes = [node('n1', leaving), node('n2', { cpusFree: 0 })];
  const held = new Map([[1, new Map([['n2', 1]])]]);
  const demands = [demand('2.0', 'n1'), demand('1.0', 'n1'), demand('1.1', 'n1')];
  t.deepEqual(targets({ nodes, demands, held }), [null, 'n2', null]);
});

test('only the named nodes, and what is against them', (t) => {
  const nodes = [node('n1', leaving), node('n2', { cpusFree: 64 }), node('n3', { barred: 'n3 is drained in Slurm' })];
  const [placement] = place({ nodes, demands: [demand('1.0', 'n1', { only: ['n3', 'n9'] })], present: new Map() });
  t.is(placement?.to, null);
  t.regex(placement?.reasons[0]?.message ?? '', /: n3 is drained in Slurm; n9 is unknown$/);
});

const flagSets = [['a'], ['a', 'b'], ['b', 'c'], ['a', 'b', 'c']];
const clusters = fc.record({
  nodes: fc.array(
    fc.record({
      barred: fc.constantFrom(null, null, null, 'drained'),
      cpusFree: fc.nat(4),
      memory: fc.nat(20),
      flags: fc.constantFrom(...flagSets),
      leaf: fc.constantFrom([], ['s1', 'c'], ['s2', 'c']),
    }),
    { minLength: 1, maxLength: 12 },
  ),
  demands: fc.array(
    fc.record({
      job: fc.integer({ min: 1, max: 4 }),
      from: fc.nat(11),
      cpus: fc.integer({ min: 1, max: 3 }),
      memory: fc.nat(8),
    }),
    { maxLength: 30 },
  ),
});

test('nothing is placed where it does not fit, nothing is given twice, and what has no target fits nowhere', (t) => {
  fc.assert(
    fc.property(clusters, (cluster) => {
      const nodes = cluster.nodes.map(({ barred, cpusFree, memory, flags, leaf }, index) =>
        node(`n${index}`, { barred, cpusFree, memoryFreeBytes: memory, cpuFlags: flags, switches: leaf }),
      );
      const demands = cluster.demands.map(({ job, from, cpus, memory }, index) =>
        demand(`${job}.${index}`, `n${from % nodes.length}`, { cpus, memoryBytes: memory }),
      );
      const placements = place({ nodes, demands, present: new Map() });
      const left = new Map(nodes.map((one) => [one.name, { cpus: one.cpusFree, memory: one.memoryFreeBytes }]));
      const named = (name: string) => nodes.find((one) => one.name === name);
      const suits = (from: string, to: string) =>
        (named(from)?.cpuFlags ?? []).every((flag) => named(to)?.cpuFlags.includes(flag));
      for (const [index, { container, to, reasons }] of placements.entries()) {
        const wanted = demands[index];
        if (wanted === undefined || wanted.container !== container) throw new Error('another order');
        if ((to === null) !== reasons.length > 0) throw new Error('a target with reasons, or none without');
        if (to === null) continue;
        const room = left.get(to);
        if (room === undefined || named(to)?.barred !== null || to === wanted.from)
          throw new Error(`a bad target ${to}`);
        if (!suits(wanted.from, to)) throw new Error(`${to} lacks instructions`);
        room.cpus -= wanted.cpus;
        room.memory -= wanted.memoryBytes;
        if (room.cpus < 0 || room.memory < 0) throw new Error(`${to} was given twice`);
      }
      for (const [index, { to }] of placements.entries()) {
        const wanted = demands[index];
        if (to !== null || wanted === undefined) continue;
        for (const [name, room] of left) {
          if (name === wanted.from || named(name)?.barred !== null || !suits(wanted.from, name)) continue;
          if (room.cpus >= wanted.cpus && room.memory >= wanted.memoryBytes) throw new Error(`${name} had room`);
        }
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test('the same cluster gives the same plan', (t) => {
  const nodes = Array.from({ length: 20 }, (_, index) => node(`n${index}`, index < 5 ? leaving : {}));
  const demands = Array.from({ length: 40 }, (_, index) => demand(`${index + 1}.0`, `n${index % 5}`));
  t.deepEqual(targets({ nodes, demands }), targets({ nodes, demands }));
});
