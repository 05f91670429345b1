import { chmodSync, chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from './cluster.ts';

/**
 * Writes a shell script into a user's home, which all nodes and rank containers see.
 * @returns its path on the nodes
 */
export function writeScript(cluster: Cluster, name: string, text: string, user = 'alice'): string {
  const home = join(cluster.testbed.paths.homeDir, user);
  const file = join(home, name);
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
  const { uid, gid } = statSync(home);
  chownSync(file, uid, gid);
  return `/home/${user}/${name}`;
}
