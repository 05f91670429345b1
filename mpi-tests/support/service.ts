import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Cluster } from './cluster.ts';
import { until } from './until.ts';

export type ServiceName = 'agent' | 'controller' | 'redis' | 'slurmctld' | 'slurmd' | 'munged';

function file(cluster: Cluster, node: string, name: string): string {
  return cluster.testbed.path(node, `/run/rankshift/${name}`);
}

/** Process id of a service inside its node; undefined while it does not run. */
export function servicePid(cluster: Cluster, node: string, service: ServiceName): number | undefined {
  const path = file(cluster, node, `${service}.pid`);
  if (!existsSync(path)) return undefined;
  const pid = Number(readFileSync(path, 'utf8'));
  return pid > 0 && existsSync(cluster.testbed.path(node, `/proc/${pid}`)) ? pid : undefined;
}

/** SIGKILL; its supervisor starts it again after a second, unless it is held. One that is just being started is waited for. */
export async function killService(
  cluster: Cluster,
  node: string,
  service: ServiceName,
  signal = 'KILL',
): Promise<void> {
  const pid = await until(`${service} runs on ${node}`, () => servicePid(cluster, node, service));
  await cluster.output(node, ['kill', `-${signal}`, String(pid)]);
  await until(`${service} on ${node} is gone`, () => !existsSync(cluster.testbed.path(node, `/proc/${pid}`)), {
    pollMs: 10,
  });
}

/** Ends a service at once and keeps it down until `release`. */
export async function holdService(
  cluster: Cluster,
  node: string,
  service: ServiceName,
  signal = 'KILL',
): Promise<void> {
  writeFileSync(file(cluster, node, `${service}.hold`), '');
  if (servicePid(cluster, node, service) !== undefined) await killService(cluster, node, service, signal);
}

export async function releaseService(cluster: Cluster, node: string, service: ServiceName): Promise<void> {
  rmSync(file(cluster, node, `${service}.hold`), { force: true });
  await until(`${service} on ${node} runs`, () => servicePid(cluster, node, service) !== undefined);
}

/** Runs something while a service is down, and starts it again whatever happens. */
export async function whileDown<T>(
  cluster: Cluster,
  node: string,
  service: ServiceName,
  act: () => Promise<T>,
): Promise<T> {
  await holdService(cluster, node, service);
  try {
    return await act();
  } finally {
    await releaseService(cluster, node, service);
  }
}

/** Makes a process of ours stop when it comes to a named place (src/process/breakpoint.ts). */
export function setBreakpoint(cluster: Cluster, node: string, name: string): void {
  mkdirSync(file(cluster, node, 'breakpoints'), { recursive: true });
  writeFileSync(file(cluster, node, `breakpoints/${name}`), '');
}

/** Waits until a process stands at the breakpoint; its process id inside the node. */
export async function untilHit(cluster: Cluster, node: string, name: string, timeoutMs = 90_000): Promise<number> {
  const path = file(cluster, node, `breakpoints/${name}.hit`);
  return await until(`${name} is reached on ${node}`, () => existsSync(path) && Number(readFileSync(path, 'utf8')), {
    timeoutMs,
    pollMs: 10,
  });
}

export function clearBreakpoint(cluster: Cluster, node: string, name: string): void {
  rmSync(file(cluster, node, `breakpoints/${name}`), { force: true });
  rmSync(file(cluster, node, `breakpoints/${name}.hit`), { force: true });
}
