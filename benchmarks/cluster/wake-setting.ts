import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { setOnNodes } from './agent-setting.ts';

/** Sets `Wake=` on nodes. The target of a move decides by its own. */
export async function setWake(cluster: Cluster, settings: Record<string, boolean>): Promise<void> {
  const values = Object.entries(settings).map(([node, wake]) => [node, wake ? 'yes' : 'no']);
  await setOnNodes(cluster, 'Wake', Object.fromEntries(values));
}
