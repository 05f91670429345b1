import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { strategySchema } from '../src/migration/record.ts';
import { type Fault, faults, together } from './faults/faults.ts';
import { defaultStrategy, Lane, type Row, type StrikeOptions } from './faults/lane.ts';
import { isOnTheWay, type Point, point, points } from './faults/points.ts';
import { endedVerified } from './support/job.ts';
import { useCluster } from './support/use-cluster.ts';

/**
 * Every fault at every point of a move. Two testbeds side by side, each with one long job whose container moves in each
 * row: mostly a row waits (for a restart, a lease, a link to be noticed as dead).
 */
const test = anyTest as TestFn;
const clusters = ['faults-a', 'faults-b'].map((name) => useCluster(test, name));

interface Strike {
  fault: Fault;
  point: Point;
  options?: StrikeOptions;
}

const fivefold: Fault[] = [faults.source, faults.target, faults.controller, faults.redis, faults.link];
const everywhere: Strike[] = fivefold.flatMap((fault) => points.map((one) => ({ fault, point: one })));

/** RANKSHIFT_FAULTS_STRATEGY=S goes through all of it with that strategy (scripts/test --faults S). */
const forced = strategySchema.optional().parse(process.env['RANKSHIFT_FAULTS_STRATEGY'] || undefined);

/** RANKSHIFT_FAULTS=TEXT runs the rows that contain the text alone. */
const only = process.env['RANKSHIFT_FAULTS'] ?? '';

test('every fault at every point leaves one container, a job that goes on, and nothing else', async (t) => {
  const more = forced === undefined ? [] : fivefold.map((fault) => ({ fault, point: point('controller-switching') }));
  await strikeAll(t, [...everywhere, ...more]);
});

test('faults that are noticed before the move goes on, services that are told to stop, the agent of a peer', async (t) => {
  const options = { strategy: 'stop-and-copy' } as const;
  const at = (fault: Fault, ...names: string[]) => names.map((name) => ({ fault, point: point(name), options }));
  await strikeAll(t, [
    ...at(faults.controller, 'controller-switching'),
    ...at(faults.source, 'source-frozen', 'source-dumped', 'source-sent'),
    ...at(faults.target, 'source-frozen', 'target-received', 'target-gate', 'target-committed'),
    ...at(faults.sourceLong, 'target-received', 'target-gate', 'target-committed', 'target-opened'),
    ...at(faults.linkLong, 'source-frozen', 'source-sent', 'target-gate', 'target-committed', 'source-committed'),
    ...at(faults.sourceStopped, 'source-frozen', 'source-dumped', 'source-removing', 'target-gate'),
    ...at(faults.targetStopped, 'target-prepared', 'target-received', 'target-gate', 'target-committed'),
    ...at(faults.controllerStopped, 'controller-preparing', 'source-held', 'controller-switched'),
    ...at(faults.peer, 'target-preparing', 'source-connect', 'source-held', 'source-sent', 'target-committed'),
  ]);
});

test('two faults at once, a second one while the first is settled, and a move of the container with mpirun', async (t) => {
  const at = (fault: Fault, name: string, options: StrikeOptions = {}) => ({ fault, point: point(name), options });
  const { source, target, controller, redis, link } = faults;
  const nodes = together(source, target);
  await strikeAll(t, [
    ...['source-dumped', 'source-sent', 'target-gate', 'target-committed'].map((name) => at(nodes, name)),
    ...['source-held', 'target-gate', 'target-opened'].map((name) => at(together(source, target, controller), name)),
    ...['source-sent', 'target-gate', 'target-committed'].map((name) => at(together(redis, target), name)),
    ...['source-frozen', 'target-gate', 'source-removing'].map((name) => at(together(redis, source), name)),
    at(together(redis, link), 'target-gate'),
    at(together(redis, controller), 'target-committed'),
    at(source, 'source-frozen', { again: point('source-resuming') }),
    at(source, 'source-dumped', { again: point('source-resuming') }),
    at(source, 'source-committed', { again: point('source-removing') }),
    at(target, 'target-received', { again: point('target-clearing') }),
    at(target, 'target-gate', { again: point('target-clearing') }),
    at(target, 'target-committed', { again: point('target-resolving') }),
    at(target, 'target-opened', { again: point('target-resolving') }),
    at(source, 'source-dumped', { index: 0 }),
    at(target, 'target-committed', { index: 0 }),
    at(controller, 'source-held', { index: 0 }),
    at(redis, 'target-gate', { index: 0 }),
    at(link, 'source-sent', { index: 0 }),
  ]);
});

async function strikeAll(t: ExecutionContext, all: readonly Strike[]): Promise<void> {
  t.timeout(forced === undefined ? 1_500_000 : 5_400_000);
  const wanted = all.filter(({ fault, point: { name } }) => `${fault.name} at ${name}`.includes(only));
  const strikes = wanted
    .map((strike) => ({
      ...strike,
      options: { ...strike.options, ...(forced === undefined ? {} : { strategy: forced }) },
    }))
    .filter(({ point: one, options }) => isOnTheWay(one, options.strategy ?? defaultStrategy));
  const skipped = [...new Set(wanted.map(({ point: one }) => one.name))].filter(
    (name) => !strikes.some(({ point: one }) => one.name === name),
  );
  if (skipped.length > 0) t.log(`skipped, since ${forced} does not come there: ${skipped.join(', ')}`);
  const rows: Row[] = [];
  await Promise.all(
    clusters.map(async (cluster) => {
      const lane = await Lane.start(cluster());
      for (let next = strikes.shift(); next !== undefined; next = strikes.shift()) {
        let row = await lane.strike(next.fault, next.point, next.options);
        // The fault was not staged at all: on a busy machine an agent may miss its heartbeats, and the move is refused.
        if (row.wrong.some((what) => / is reached on /.test(what)))
          row = await lane.strike(next.fault, next.point, next.options);
        rows.push(row);
        t.log(describe(row));
      }
      const end = await lane.job.finish();
      t.deepEqual(end, endedVerified, lane.job.all.slice(-2000));
    }),
  );
  t.deepEqual(
    rows.filter(({ wrong }) => wrong.length > 0),
    [],
  );
}

function describe({ fault, point: at, state, error, seconds, wrong }: Row): string {
  const verdict = wrong.length === 0 ? 'ok ' : 'BAD';
  return `${verdict} ${seconds.toFixed(1).padStart(5)} s  ${fault.padEnd(24)} at ${at.padEnd(22)} ${state} ${error} ${wrong.join('; ')}`;
}
