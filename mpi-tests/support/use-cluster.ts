import { existsSync } from 'node:fs';
import type { TestFn } from 'ava';
import { type BringUpOptions, bringUp, isBuilt, listTestbeds, takeDown } from '../../src/testbed/index.ts';
import { Cluster } from './cluster.ts';
import { endJobs } from './job.ts';
import { leftovers } from './leftovers.ts';
import { until } from './until.ts';

/**
 * Gives a test file a cluster of its own: up before the first test, down after the last whatever happened. After each
 * test its jobs are ended, and the test fails where anything of them is left on a node.
 * @param name short, for the name of the testbed
 * @returns the cluster, once the tests run
 */
export function useCluster(test: TestFn, name: string, options: Omit<BringUpOptions, 'name'> = {}): () => Cluster {
  const testbed = `test-${name}-${process.pid}`;
  let cluster: Cluster | undefined;
  test.before(async (t) => {
    t.timeout(options.vm === true ? 1_800_000 : 600_000, 'images may have to be built');
    if (!isBuilt()) throw new Error('the nodes run dist/: npm run build');
    await takeDownAbandoned();
    // Most tests fill nodes with jobs as it suits them; those of the allocation say so.
    const config = { AllocationFollow: 'none', ...options.config };
    cluster = new Cluster(await bringUp({ ...options, config, name: testbed, services: true }));
    await cluster.untilReady();
    // What is there before the first job is not left by one.
    for (const one of await leftovers(cluster)) cluster.known.add(one);
  });

  test.afterEach.always(async (t) => {
    if (cluster === undefined) return;
    await endJobs(cluster);
    const lasting = await untilNothingIsLeft(cluster);
    for (const left of lasting) cluster.known.add(left);
    t.deepEqual(lasting, [], 'left on the nodes');
  });

  test.after.always(async () => {
    await takeDown(testbed);
  });

  return () => {
    if (cluster === undefined) throw new Error('the cluster is not up');
    return cluster;
  };
}

/** The epilog's clean-up and the sweep of an agent that was killed take some seconds. */
const cleanUpMs = 60_000;

/** What is left when the time is over; what was there before the test is not told. */
export async function untilNothingIsLeft(
  cluster: Cluster,
  timeoutMs = cleanUpMs * cluster.patience,
): Promise<string[]> {
  let left: string[] = [];
  await until(
    'nothing is left',
    async () => {
      left = (await leftovers(cluster)).filter((one) => !cluster.known.has(one));
      return left.length === 0;
    },
    { timeoutMs, pollMs: 250 },
  ).catch(() => undefined);
  return left;
}

/** Testbeds of test runs that were killed: their names end in the number of a process that is no more. */
async function takeDownAbandoned(): Promise<void> {
  for (const name of listTestbeds()) {
    const pid = /^test-.*-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await takeDown(name);
  }
}
