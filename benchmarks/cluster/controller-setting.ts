import { readFileSync, writeFileSync } from 'node:fs';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { killService, servicePid } from '../../mpi-tests/support/service.ts';
import { until } from '../../mpi-tests/support/until.ts';

/** Sets one key in the controller's configuration and restarts it. */
export async function setOnController(cluster: Cluster, key: string, value: string): Promise<void> {
  const file = cluster.testbed.path('ctl', '/etc/rankshift/rankshift.conf');
  const others = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith(`${key}=`));
  writeFileSync(file, `${others.join('\n').trimEnd()}\n${key}=${value}\n`);
  await killService(cluster, 'ctl', 'controller');
  await until('the controller runs again', () => servicePid(cluster, 'ctl', 'controller') !== undefined);
  await cluster.untilReady();
}
