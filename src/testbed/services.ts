import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkoutDir } from './paths.ts';
import { isRunning } from './start-node.ts';
import type { NodeState, Role, TestbedState } from './state.ts';
import { machineServices } from './vm/machine-services.ts';

const base: Record<Role, string[]> = {
  management: ['munged', 'sshd', 'redis', 'slurmctld'],
  login: ['munged', 'sshd'],
  compute: ['munged', 'sshd', 'slurmd'],
};

const ours: Record<Role, string[]> = { management: ['controller'], login: [], compute: ['agent'] };

/** Services of a node in the order in which they start; our own only where the install tree is built. */
export function servicesOf(role: Role, withOurs: boolean): string[] {
  return withOurs ? [...base[role], ...ours[role]] : base[role];
}

/** True where `rankshift controller` and `rankshift agent` can be started: `npm run build` was run. */
export function isBuilt(): boolean {
  return existsSync(join(checkoutDir, 'dist', 'cli', 'main.js'));
}

export interface ServiceStatus {
  name: string;
  /** `held`: down until a test removes /run/rankshift/NAME.hold. */
  state: 'running' | 'stopped' | 'held';
  /** Process id inside the node. */
  pid?: number;
}

/** What the supervisors of a node say; read through PID 1's root, so nothing is started in the node. */
export async function serviceStatus(state: TestbedState, node: NodeState): Promise<ServiceStatus[]> {
  if (!isRunning(node.init)) return [];
  if (node.kind === 'machine') return await machineServices(state, node);
  const root = `/proc/${node.init.pid}/root`;
  const logs = existsSync(join(root, 'var/log/rankshift')) ? readdirSync(join(root, 'var/log/rankshift')) : [];
  const names = logs.filter((file) => file.endsWith('.log')).map((file) => file.slice(0, -'.log'.length));
  return names.sort().map((name) => {
    const pid = readPid(join(root, 'run/rankshift', `${name}.pid`));
    const alive = pid !== undefined && existsSync(join(root, 'proc', String(pid)));
    const held = existsSync(join(root, 'run/rankshift', `${name}.hold`));
    return { name, state: alive ? 'running' : held ? 'held' : 'stopped', ...(alive ? { pid } : {}) };
  });
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
