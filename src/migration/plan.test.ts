import test from 'ava';
import fc from 'fast-check';
import type { ContainerRecord } from './container.ts';
import type { CostSample } from './estimate.ts';
import { chooseTarget, type NodeFacts, planMove, targetReasons } from './plan.ts';

const gib = 1024 ** 3;

function node(name: string, fields: Partial<NodeFacts> = {}): NodeFacts {
  return {
    name,
    agentAlive: true,
    slurmStates: ['idle'],
    containers: 0,
    memoryAvailableBytes: 8 * gib,
    stateDirFreeBytes: 8 * gib,
    cpuFlags: ['sse2', 'avx'],
    missingLayers: [],
    storeFreeBytes: null,
    criuOk: true,
    pagesOk: true,
    pagesReason: '',
    softDirtyOk: false,
    kernel: '6.18',
    ...fields,
  };
}

const container: ContainerRecord = {
  ...{ id: '42.1', job: 42, index: 1, uid: 1000, user: 'alice', image: 'mpi', state: 'running', owner: 'n1' },
  ...{ epoch: 1, switch: '', migration: '', heading: '', moves: 0, run: '', startedAt: 0 },
};
const sourceFacts = { memoryBytes: gib, dirtyBytesPerSecond: 0, upperBytes: 1000, processes: 3, reasons: [] };
const cost: CostSample = {
  ...{ strategy: 'stop-and-copy', lazy: true, source: 'n1', target: 'n2', memoryBytes: gib, downtimeMs: 300 },
  ...{ dumpMs: 0, pagesMs: 0, probedBytesPerSecond: null, carriedBytesPerSecond: null, aroundMs: 600 },
  leftBytes: 0,
};
const input: Parameters<typeof planMove>[0] = {
  container,
  source: node('n1'),
  sourceFacts,
  target: node('n2'),
  requestedTarget: null,
  link: { roundTripMs: 1, bytesPerSecond: gib, severalBytesPerSecond: null },
  costs: [cost],
  strategy: 'auto',
  postCopy: 'asked',
  limits: {},
};

test('a move that nothing forbids has a prediction and no reasons', (t) => {
  const plan = planMove({ ...input, strategy: 'stop-and-copy' });
  t.deepEqual(plan.reasons, []);
  // All of the memory over the link, a round trip, a scan.
  t.is(plan.predicted?.downtimeMs, 300 + 1000 + 1 + 5);
});

test('the strategy follows the kernels, the writes and what was asked for', (t) => {
  const chosen = (fields: Partial<typeof input>) => {
    const { strategy, lazy, reasons } = planMove({ ...input, ...fields });
    return [strategy, lazy, reasons.length];
  };
  const written = (dirtyBytesPerSecond: number) => ({ sourceFacts: { ...sourceFacts, dirtyBytesPerSecond } });
  t.deepEqual(chosen({}), ['pre-copy', true, 0]);
  t.deepEqual(chosen(written(gib / 4)), ['pre-copy', true, 0]);
  t.deepEqual(chosen(written(2 * gib)), ['stop-and-copy', true, 0]);
  t.deepEqual(chosen({ ...written(2 * gib), strategy: 'pre-copy' }), ['pre-copy', true, 0]);
  t.deepEqual(chosen({ strategy: 'stop-and-copy' }), ['stop-and-copy', true, 0]);
  t.deepEqual(chosen({ target: node('n2', { pagesOk: false }) }), ['stop-and-copy', false, 0]);
  t.deepEqual(chosen({ source: node('n1', { pagesOk: false }) }), ['stop-and-copy', false, 0]);
  t.deepEqual(chosen({ source: node('n1', { pagesOk: false }), strategy: 'pre-copy' }), ['stop-and-copy', false, 1]);
  // CRIU makes the rounds where the source's kernel has soft-dirty; what the target's has does not matter.
  const criu = { source: node('n1', { pagesOk: false, softDirtyOk: true }), target: node('n2', { pagesOk: false }) };
  t.deepEqual(chosen(criu), ['pre-copy', false, 0]);
  t.deepEqual(chosen({ ...criu, strategy: 'stop-and-copy' }), ['stop-and-copy', false, 0]);
  t.deepEqual(chosen({ ...criu, ...written(2 * gib) }), ['stop-and-copy', false, 0]);
  const other = { source: node('n1', { pagesOk: false }), target: node('n2', { pagesOk: false, softDirtyOk: true }) };
  t.deepEqual(chosen({ ...other, strategy: 'pre-copy' }), ['stop-and-copy', false, 1]);
});

test('the plan says how writes are noted, and which kernel keeps it from the better way', (t) => {
  const tracked = (fields: Partial<typeof input>) => {
    const { tracking, trackingReason } = planMove({ ...input, ...fields });
    return [tracking, trackingReason];
  };
  const old = { pagesOk: false, pagesReason: 'no write-protection' };
  t.is(tracked({})[0], 'wp-async');
  t.deepEqual(tracked({ source: node('n1', { ...old, softDirtyOk: true }) }), [
    'soft-dirty',
    'n1: no write-protection',
  ]);
  const both = { source: node('n1', { softDirtyOk: true }), target: node('n2', old) };
  t.deepEqual(tracked(both), ['soft-dirty', 'n2: no write-protection']);
  const neither = 'n2: no write-protection; n1 has no soft-dirty either';
  t.deepEqual(tracked({ target: node('n2', old) }), [null, neither]);
  t.is(tracked({ target: null })[0], null);
  // The better way is taken where both have both.
  t.is(
    tracked({ source: node('n1', { softDirtyOk: true }), target: node('n2', { softDirtyOk: true }) })[0],
    'wp-async',
  );
});

test('pages are left behind where it is asked for, or allowed and the rounds do not suffice; the plan tells the risk', (t) => {
  const plan = (fields: Partial<typeof input>) => planMove({ ...input, ...fields });
  const hasty = { sourceFacts: { ...sourceFacts, dirtyBytesPerSecond: 2 * gib } };
  t.is(plan({ ...hasty, postCopy: 'asked' }).strategy, 'stop-and-copy');
  t.is(plan({ ...hasty, postCopy: 'auto' }).strategy, 'hybrid');
  t.is(plan({ ...hasty, postCopy: 'never' }).strategy, 'stop-and-copy');
  t.is(plan({ postCopy: 'auto' }).strategy, 'pre-copy');
  const asked = plan({ ...hasty, strategy: 'post-copy' });
  t.deepEqual([asked.strategy, asked.reasons], ['post-copy', []]);
  t.true(asked.warnings.some((warning) => /n1 must live/.test(warning)));
  // No page in the freeze, all of them in the whole.
  t.is(asked.predicted?.downtimeMs, 306);
  t.true((asked.predicted?.totalMs ?? 0) > 1000);
  t.is(plan({ strategy: 'hybrid', postCopy: 'never' }).reasons[0]?.code, 'no-hybrid');
  t.is(plan({ strategy: 'post-copy', source: node('n1', { pagesOk: false }) }).reasons[0]?.code, 'no-post-copy');
});

test('a downtime that is too long is refused with the prediction, unless forced; a limit of the link counts', (t) => {
  const codes = (fields: Partial<typeof input>) => planMove({ ...input, ...fields }).reasons.map(({ code }) => code);
  const slow = { strategy: 'stop-and-copy' as const };
  t.deepEqual(codes({ ...slow, limits: { maxDowntimeMs: 2000 } }), []);
  t.deepEqual(codes({ ...slow, limits: { maxDowntimeMs: 1000 } }), ['max-downtime']);
  // The freeze knows no limit.
  t.deepEqual(codes({ ...slow, limits: { maxDowntimeMs: 2000, bandwidth: gib / 4 } }), []);
  const limited = planMove({ ...input, limits: { bandwidth: 1_000_000 } });
  t.is(limited.strategy, 'pre-copy');
  t.true((limited.predicted?.totalMs ?? 0) > 1_000_000);
  t.true((limited.predicted?.downtimeMs ?? 0) < 2000);
  t.deepEqual(codes({ ...slow, limits: { maxDowntimeMs: 1000, force: true } }), []);
  t.deepEqual(codes({ limits: { maxDowntimeMs: 1000 } }), []);
  t.regex(
    planMove({ ...input, costs: [], limits: { maxDowntimeMs: 1 } }).warnings.join(),
    /could not|could be predicted/,
  );
});

test('every cause of a refusal is named, not only the first', (t) => {
  const target = node('n2', {
    slurmStates: ['idle', 'drain'],
    cpuFlags: ['sse2'],
    memoryAvailableBytes: gib,
    criuOk: false,
    missingLayers: [{ digest: `sha256:${'a'.repeat(64)}`, bytes: 1, from: [], roundTripMs: null }],
  });
  const reasons = [{ code: 'device-gpu', message: 'process 7 (lmp) has /dev/nvidia0 open' }];
  const plan = planMove({ ...input, target, sourceFacts: { ...sourceFacts, reasons } });
  t.deepEqual(
    plan.reasons.map(({ code }) => code),
    ['device-gpu', 'target-not-available', 'target-criu', 'target-memory', 'target-cpu', 'target-image'],
  );
});

test('a target that is the source, down, unknown to Slurm or without agent is refused', (t) => {
  const codes = (fields: Parameters<typeof planMove>[0]) => planMove(fields).reasons.map(({ code }) => code);
  t.deepEqual(codes({ ...input, target: null, requestedTarget: 'n1' }), ['target-is-source']);
  t.deepEqual(codes({ ...input, target: null }), ['no-target']);
  t.deepEqual(codes({ ...input, target: node('n2', { slurmStates: ['down'] }) }), ['target-not-available']);
  t.deepEqual(codes({ ...input, target: node('n2', { slurmStates: [] }) }), ['target-not-in-slurm']);
  t.deepEqual(codes({ ...input, target: node('n2', { agentAlive: false }) }), ['target-agent-down']);
});

test('a node whose state Slurm does not say is taken only by who names it, and is told so', (t) => {
  const silent = node('n2', { slurmStates: ['unknown'] });
  const rich = node('n3', { slurmStates: ['unknown'], memoryAvailableBytes: 64 * gib });
  t.is(chooseTarget(node('n1'), [silent, rich], gib), null);
  t.is(chooseTarget(node('n1'), [rich, node('n4', { containers: 3 })], gib)?.name, 'n4');
  const named = planMove({ ...input, target: silent, requestedTarget: 'n2', slurmSilent: true });
  t.deepEqual(named.reasons, []);
  t.true(named.warnings.includes('Slurm does not say in what state n2 is: it may be drained'));
  const chosen = planMove({ ...input, target: null, slurmSilent: true });
  t.deepEqual(
    chosen.reasons.map(({ code }) => code),
    ['slurm-silent'],
  );
});

test('the chosen target can always take the container, and is never the source', (t) => {
  const anyNode = fc
    .record({
      name: fc.constantFrom('n1', 'n2', 'n3', 'n4', 'n5'),
      agentAlive: fc.boolean(),
      containers: fc.nat(3),
      slurmStates: fc.constantFrom<string[]>(['idle'], ['allocated'], ['idle', 'drain'], ['down'], []),
      memoryAvailableBytes: fc.nat(16).map((count) => count * gib),
    })
    .map(({ name, ...fields }) => node(name, fields));
  fc.assert(
    fc.property(fc.array(anyNode), fc.nat(8), (candidates, gibs) => {
      const source = node('n1');
      const chosen = chooseTarget(source, candidates, gibs * gib);
      if (chosen !== null) return chosen.name !== 'n1' && targetReasons(source, chosen, gibs * gib).length === 0;
      return candidates.every((one) => one.name === 'n1' || targetReasons(source, one, gibs * gib).length > 0);
    }),
  );
  t.pass();
});

test('predictions grow with memory', (t) => {
  fc.assert(
    fc.property(fc.nat(1e12), fc.nat(1e12), (a, b) => {
      const predict = (memoryBytes: number) =>
        planMove({ ...input, sourceFacts: { ...sourceFacts, memoryBytes } }).predicted?.downtimeMs ?? Number.NaN;
      return a <= b ? predict(a) <= predict(b) : predict(a) >= predict(b);
    }),
  );
  t.pass();
});

test('of the strategies that a policy allows one that is possible is taken; where none is, the move is refused', (t) => {
  const writing = { ...input, sourceFacts: { ...sourceFacts, dirtyBytesPerSecond: 2 * gib } };
  t.is(planMove(writing).strategy, 'stop-and-copy');
  const only = planMove({ ...writing, allowed: ['hybrid', 'pre-copy'] });
  t.is(only.strategy, 'pre-copy');
  t.regex(only.strategyReason, /the policy does not allow stop-and-copy: the ranks write/);
  t.deepEqual(only.reasons, []);
  const never = planMove({ ...writing, allowed: ['hybrid'], postCopy: 'never' });
  t.deepEqual(
    never.reasons.map(({ code }) => code),
    ['policy-strategy', 'no-hybrid'],
  );
  t.is(planMove({ ...writing, allowed: ['stop-and-copy'] }).strategyReason, planMove(writing).strategyReason);
});

test('a downtime that a policy does not allow names the policy', (t) => {
  const limits = { maxDowntimeMs: 100, maxDowntimeBy: 'site.conf:3' };
  const [reason] = planMove({ ...input, strategy: 'stop-and-copy', limits }).reasons;
  t.is(reason?.code, 'policy-downtime');
  t.regex(reason?.message ?? '', /more than 100 ms \(site\.conf:3\)/);
});
