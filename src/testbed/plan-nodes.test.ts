import test from 'ava';
import fc from 'fast-check';
import { planNodes } from './plan-nodes.ts';

const size = fc.record({ nodes: fc.integer({ min: 1, max: 64 }), cpusPerNode: fc.integer({ min: 1, max: 256 }) });

test('every node has its own name, address and MAC', (t) => {
  const distinct = (values: string[]) => new Set(values).size === values.length;
  fc.assert(
    fc.property(size, (wanted) => {
      const nodes = planNodes('10.213.7', wanted);
      return (
        nodes.length === wanted.nodes + 2 &&
        distinct(nodes.map(({ name }) => name)) &&
        distinct(nodes.map(({ address }) => address)) &&
        distinct(nodes.map(({ mac }) => mac))
      );
    }),
  );
  t.pass();
});

test('the clocks of any two nodes are hours apart', (t) => {
  fc.assert(
    fc.property(size, (wanted) => {
      const offsets = planNodes('10.213.7', wanted).map(({ monotonicOffsetS }) => monotonicOffsetS);
      return offsets.every((a, i) => offsets.every((b, j) => i === j || Math.abs(a - b) > 3600));
    }),
  );
  t.pass();
});

test('the management node comes first', (t) => {
  t.is(planNodes('10.213.7', { nodes: 1, cpusPerNode: 2 })[0]?.role, 'management');
});

test('a size that cannot be is refused by the name of its option', (t) => {
  t.throws(() => planNodes('10.213.7', { nodes: 0, cpusPerNode: 2 }), { message: /--nodes 0/ });
  t.throws(() => planNodes('10.213.7', { nodes: 1, cpusPerNode: 1.5 }), { message: /--cpus-per-node 1.5/ });
});
