import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { killService, servicePid } from '../../mpi-tests/support/service.ts';
import { until } from '../../mpi-tests/support/until.ts';

/** Sets one key in the configuration of nodes, each to its value, and restarts their agents. */
export async function setOnNodes(cluster: Cluster, key: string, values: Record<string, string>): Promise<void> {
  for (const [node, value] of Object.entries(values)) {
    const file = cluster.testbed.path(node, '/etc/rankshift/rankshift.conf');
    const others = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => !line.startsWith(`${key}=`));
    writeFileSync(file, `${others.join('\n').trimEnd()}\n${key}=${value}\n`);
    await killService(cluster, node, 'agent');
    await until(`the agent of ${node} runs again`, () => servicePid(cluster, node, 'agent') !== undefined);
  }
  // The heartbeats of the old agents count for some seconds.
  await sleep(4000);
  await cluster.untilReady();
}
