import test from 'ava';
import fc from 'fast-check';
import { type NodeLook, type NodeWatch, phaseOf, watchNode } from './node-watch.ts';

const rules = { returnOnResume: true, holdDownMs: 60_000 };
const look = (fields: Partial<NodeLook> = {}): NodeLook => ({
  ...{ states: ['idle'], agentAlive: true, containers: 0, leftAt: [], busy: false, ended: null },
  ...fields,
});
const draining = look({ states: ['mixed', 'draining'], containers: 2 });

test('a drained node with containers is emptied at once, an empty one is left alone', (t) => {
  t.is(watchNode(null, draining, rules, 1000).action, 'evacuate');
  t.is(watchNode(null, { ...draining, containers: 0 }, rules, 1000).action, null);
  t.is(watchNode(null, { ...draining, busy: true }, rules, 1000).action, null);
  t.is(watchNode(null, look({ containers: 2 }), rules, 1000).action, null);
});

test('what was called off stays so until the node has been in service; what stayed is tried again later', (t) => {
  const { watch } = watchNode(null, draining, rules, 0);
  t.is(watchNode(watch, { ...draining, ended: 'cancelled' }, rules, 1e9).action, null);
  t.is(watchNode(watch, { ...draining, ended: 'incomplete' }, rules, 299_999).action, null);
  t.is(watchNode(watch, { ...draining, ended: 'incomplete' }, rules, 300_000).action, 'evacuate');
  const back = watchNode(watch, look({ containers: 2 }), rules, 400_000).watch;
  t.is(watchNode(back, draining, rules, 500_000).action, 'evacuate');
});

test('a node that is back gets what left it before, once, and only where that is wanted', (t) => {
  const { watch } = watchNode(null, draining, rules, 0);
  const back = look({ leftAt: [5000] });
  const first = watchNode(watch, back, rules, 100_000);
  t.is(first.action, null, 'it has to stay for a moment');
  const second = watchNode(first.watch, back, rules, 120_000);
  t.is(second.action, 'return');
  t.is(watchNode(first.watch, back, { ...rules, returnOnResume: false }, 120_000).action, null);
  t.is(watchNode({ ...second.watch, group: 'e2' }, back, rules, 1e9).action, null);
  // An evacuation of a node that was never drained is not undone.
  t.is(watchNode(first.watch, look({ leftAt: [110_000] }), rules, 1e9).action, null);
  const never = watchNode(null, back, rules, 100_000);
  t.is(never.action, null);
  t.is(watchNode(never.watch, back, rules, 1e9).action, null);
});

test('down with containers and without its agent: told once, nothing is started', (t) => {
  const down = look({ states: ['down', 'not_responding'], containers: 1, agentAlive: false });
  const seen = watchNode(null, down, rules, 0);
  t.is(seen.action, null);
  const told = watchNode(seen.watch, down, rules, 20_000);
  t.is(told.action, 'report-lost');
  t.is(watchNode(told.watch, down, rules, 1e9).action, null);
  t.is(watchNode(seen.watch, { ...down, agentAlive: true }, rules, 20_000).action, null);
});

test('states that Slurm does not tell change nothing', (t) => {
  t.is(phaseOf([]), null);
  t.is(phaseOf(['unknown']), null);
  t.is(phaseOf(['idle', 'reboot_requested']), 'leaving');
  const { watch } = watchNode(null, draining, rules, 0);
  t.is(watchNode(watch, look({ states: ['unknown'] }), rules, 10).watch.phase, 'leaving');
});

test('however a node flaps and whoever asks how often, one thing at most is started in a hold-down', (t) => {
  const states = fc.constantFrom(['idle'], ['mixed', 'draining'], ['drained'], ['down'], ['unknown'], []);
  const steps = fc.array(fc.record({ states, afterMs: fc.nat(30_000), containers: fc.nat(2), busy: fc.boolean() }), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(steps, (sequence) => {
      let watch: NodeWatch | null = null;
      let now = 0;
      let last = Number.NEGATIVE_INFINITY;
      for (const { afterMs, ...step } of sequence) {
        now += afterMs;
        const next = watchNode(watch, look({ ...step, leftAt: [0] }), rules, now);
        watch = next.watch;
        if (next.action !== 'evacuate' && next.action !== 'return') continue;
        if (now - last < rules.holdDownMs) throw new Error(`again after ${now - last} ms`);
        if (step.busy) throw new Error('while a group goes on');
        last = now;
      }
    }),
  );
  t.pass();
});
