import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueCertificate } from '../../channel/authority.ts';
import { createCommandKeys, createLaunchKey, createRedisPassword } from '../../channel/secrets.ts';
import type { TestbedState } from '../state.ts';
import type { SeedFile } from './write-seed.ts';

/** Name in the certificate of the controller, whatever its host is called (docs/architecture.md, section 2). */
const controllerName = 'controller';

export interface ClusterKeys {
  redisPassword: string;
  /** Files of one node below its root, by node name. */
  byNode: Map<string, Record<string, SeedFile>>;
}

/**
 * Makes the certificates and secrets of the cluster in `dir` (once for each testbed), and says which node gets which:
 * what a node does not need, it does not have.
 */
export async function installClusterKeys(state: TestbedState, dir: string): Promise<ClusterKeys> {
  await createAuthority(dir);
  createCommandKeys(dir);
  createLaunchKey(dir);
  createRedisPassword(dir);
  for (const { name, role, address } of state.nodes) {
    if (role === 'management') await issueCertificate(dir, controllerName, { names: [name], addresses: [address] });
    if (role === 'compute') await issueCertificate(dir, name, { addresses: [address] });
  }
  const made = new Set(readdirSync(dir));
  const file = (name: string, mode = 0o600): SeedFile => ({ content: readFileSync(join(dir, name)), mode });
  const byNode = new Map<string, Record<string, SeedFile>>();
  for (const { name, role } of state.nodes) {
    const own = role === 'management' ? controllerName : name;
    const files: Record<string, SeedFile> = { 'ca.pem': file('ca.pem', 0o644) };
    if (made.has(`${own}.pem`)) {
      files[`${own}.pem`] = files['node.pem'] = file(`${own}.pem`);
      files[`${own}.key`] = files['node.key'] = file(`${own}.key`);
    }
    const secrets = {
      management: ['command.key', 'command.pub', 'redis.password'],
      login: [],
      compute: ['command.pub', 'launch.key', 'redis.password'],
    }[role];
    for (const secret of secrets) files[secret] = file(secret);
    const below = Object.entries(files).map(([path, content]) => [`etc/rankshift/keys/${path}`, content] as const);
    byNode.set(name, Object.fromEntries(below));
  }
  return { redisPassword: readFileSync(join(dir, 'redis.password'), 'utf8').trim(), byNode };
}
