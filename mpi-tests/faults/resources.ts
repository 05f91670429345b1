import type { Cluster } from '../support/cluster.ts';
import type { Fault, Parts } from './faults.ts';

/** A shell text that runs in a node when the point is reached, and one that undoes it. */
function shell(name: string, node: (parts: Parts) => string, text: (id: string) => string, undo?: string): Fault {
  const run = (cluster: Cluster, at: string, line: string) => cluster.output(at, ['/bin/sh', '-c', line]);
  return {
    name,
    healMs: 2500,
    keepMs: 0,
    strike: async (cluster, parts, id) => {
      const at = node(parts);
      await run(cluster, at, text(id));
      return undo === undefined
        ? undefined
        : async () => {
            await run(cluster, at, undo);
          };
    },
  };
}

const source = ({ source: node }: Parts) => node;
const target = ({ target: node }: Parts) => node;
const images = (id: string) => `/var/lib/rankshift/migrations/${id}/images`;

/** In the place of CRIU; without a log, as a CRIU that cannot even begin. */
const broken = `
printf '#!/bin/sh\\necho "Error: staged failure" >&2\\nexit 1\\n' >/run/broken-criu
chmod 755 /run/broken-criu
mount --bind /run/broken-criu "$(command -v criu)"`;

export const resources = {
  targetMemory: shell(
    'memory for the images full on the target',
    target,
    (id) => `mount -o remount,size=1m ${images(id)}`,
  ),
  sourceMemory: shell(
    'memory for the images full on the source',
    source,
    (id) => `mount -o remount,size=1m ${images(id)}`,
  ),
  targetDisk: shell(
    'state directory full on the target',
    target,
    () => 'cat /dev/zero >/var/lib/rankshift/filling 2>/dev/null || true',
    'rm -f /var/lib/rankshift/filling',
  ),
  dumpFails: shell('CRIU fails on the source', source, () => broken, 'umount "$(command -v criu)"'),
  restoreFails: shell('an image is damaged on the target', target, (id) => `truncate -s 20 ${images(id)}/pstree.img`),
  criuKilledAtGate: shell(
    'CRIU killed at the gate',
    target,
    () => `for pid in /proc/[0-9]*; do
      if [ "$(cat $pid/comm 2>/dev/null)" = criu ]; then kill -KILL "\${pid#/proc/}"; fi
    done; sleep 0.3`,
  ),
} as const satisfies Record<string, Fault>;
