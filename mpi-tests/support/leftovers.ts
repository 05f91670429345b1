import type { Cluster } from './cluster.ts';

/** Names everything that a job may have on a node, one a line. */
const listing = `
ip -o link | sed -n 's/^[0-9]*: \\(rs[bxv][0-9a-f.]*\\)[@:].*/link \\1/p'
ip netns list | sed 's/^\\([^ ]*\\).*/netns \\1/'
for dir in /var/lib/rankshift/containers/* /var/lib/rankshift/migrations/* /run/rankshift/runc/*; do
  [ -e "$dir" ] && echo "directory $dir"
done
sed -n 's,^[^ ]* [^ ]* [^ ]* [^ ]* \\(/var/lib/rankshift/\\(containers\\|migrations\\)[^ ]*\\) .*,mount \\1,p' /proc/self/mountinfo
for dir in $(find /sys/fs/cgroup /run/cg1 -type d -name 'rs-*' 2>/dev/null); do echo "cgroup $dir"; done
nft list tables | sed 's/^/nftables /'
for pid in /proc/[0-9]*; do
  name=$(cat $pid/comm 2>/dev/null)
  case $name in criu*|runc*|rankshift-init|mpirun|prterun|prted) echo "process $name" ;; esac
done
true`;

/** What jobs and migrations left on the compute nodes, as `n1: link rsb1`; empty where all is clean. */
export async function leftovers(cluster: Cluster): Promise<string[]> {
  const found = await Promise.all(
    cluster.nodes.map(async (node) => {
      const text = await cluster.output(node, ['/bin/sh', '-c', listing]);
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => `${node}: ${line}`);
    }),
  );
  return found.flat();
}
