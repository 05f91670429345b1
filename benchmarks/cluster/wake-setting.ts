import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { killService, servicePid } from '../../mpi-tests/support/service.ts';
import { until } from '../../mpi-tests/support/until.ts';

/** Sets `Wake=` in the configuration of nodes and restarts their agents. The target of a move decides by its own. */
export async function setWake(cluster: Cluster, settings: Record<string, boolean>): Promise<void> {
  for (const [node, wake] of Object.entries(settings)) {
    const file = cluster.testbed.path(node, '/etc/rankshift/rankshift.conf');
    const others = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => !line.startsWith('Wake='));
    writeFileSync(file, `${others.join('\n').trimEnd()}\nWake=${wake ? 'yes' : 'no'}\n`);
    await killService(cluster, node, 'agent');
    await until(`the agent of ${node} runs again`, () => servicePid(cluster, node, 'agent') !== undefined);
  }
  // The heartbeats of the old agents count for some seconds.
  await sleep(4000);
  await cluster.untilReady();
}
