import type { Cluster } from '../support/cluster.ts';
import { leftovers } from '../support/leftovers.ts';

/** Programs of ours and of others that a move starts; each ends with it. */
const strays = `
for pid in /proc/[0-9]*; do
  name=$(cat $pid/comm 2>/dev/null)
  case $name in rankshift-node|ip|bridge|nft|tar) echo "process $name $(tr '\\0' ' ' <$pid/cmdline 2>/dev/null)" ;; esac
done
true`;

/**
 * What is on the nodes and should not be, or should be and is not, while the containers of a job run at their places and
 * nothing moves. Empty where all is as it must be.
 */
export async function misplaced(cluster: Cluster, job: number, places: ReadonlyMap<number, string>): Promise<string[]> {
  const vni = job.toString(16);
  const allowed = new Set<string>();
  const wanted = new Set<string>();
  for (const [index, node] of places) {
    const own = [
      `netns rs-${job}-${index}`,
      `directory /var/lib/rankshift/containers/${job}.${index}`,
      `directory /run/rankshift/runc/rs-${job}-${index}`,
      `mount /var/lib/rankshift/containers/${job}.${index}/bundle/rootfs`,
      `cgroup /sys/fs/cgroup/rankshift/rs-${job}-${index}`,
    ];
    for (const line of own) wanted.add(`${node}: ${line}`);
    for (const name of ['rankshift-init', 'mpirun', 'prterun', 'prted']) allowed.add(`${node}: process ${name}`);
  }
  const found = [...(await leftovers(cluster)), ...(await strayProcesses(cluster))];
  const surplus = found.filter((line) => {
    if (cluster.known.has(line) || wanted.has(line) || allowed.has(line)) return false;
    const link = /^(\w+): link rs([bxv])([0-9a-f]+)(?:\.(\d+))?$/.exec(line);
    if (link === null || link[3] !== vni) return true;
    if (link[2] === 'v') return places.get(Number(link[4])) !== link[1];
    return ![...places.values()].includes(link[1] ?? '');
  });
  const missing = [...wanted].filter((line) => !found.includes(line)).map((line) => `missing: ${line}`);
  return [...surplus, ...missing];
}

async function strayProcesses(cluster: Cluster): Promise<string[]> {
  const found = await Promise.all(
    cluster.nodes.map(async (node) => {
      const text = await cluster.output(node, ['/bin/sh', '-c', strays]);
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => `${node}: ${line.trimEnd()}`);
    }),
  );
  return found.flat();
}
