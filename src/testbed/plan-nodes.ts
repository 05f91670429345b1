import { RankshiftError } from '../errors.ts';
import type { NodeState } from './state.ts';

export interface TestbedSize {
  /** Compute nodes. @defaultValue 3 */
  nodes: number;
  /** Processors that Slurm sees in each. @defaultValue 2 */
  cpusPerNode: number;
  /** Compute nodes are virtual machines. @defaultValue false */
  vm?: boolean;
  /** So many of them, the last, with the kernel of the distribution's release before. @defaultValue 0 */
  oldKernels?: number;
}

/**
 * Names, roles, addresses and clocks of the nodes of a testbed. Each node's CLOCK_MONOTONIC is hours apart from all
 * others, as on machines that were booted at different times, so that nothing works by luck.
 * @throws RankshiftError E_BAD_INPUT for a size that cannot be.
 */
export function planNodes(
  subnet: string,
  { nodes, cpusPerNode, vm = false, oldKernels = 0 }: TestbedSize,
): NodeState[] {
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 64) {
    throw new RankshiftError('E_BAD_INPUT', `--nodes ${nodes}: allowed is 1 to 64`);
  }
  if (!Number.isInteger(cpusPerNode) || cpusPerNode < 1 || cpusPerNode > 256) {
    throw new RankshiftError('E_BAD_INPUT', `--cpus-per-node ${cpusPerNode}: allowed is 1 to 256`);
  }
  if (oldKernels > (vm ? nodes : 0)) {
    throw new RankshiftError('E_BAD_INPUT', `--old-kernels ${oldKernels}: only virtual machines can have one (--vm)`);
  }
  const compute = Array.from({ length: nodes }, (_, index) => ({
    name: `n${index + 1}`,
    role: 'compute' as const,
    host: 11 + index,
  }));
  const all = [
    { name: 'ctl', role: 'management' as const, host: 2 },
    { name: 'login', role: 'login' as const, host: 3 },
    ...compute,
  ];
  return all.map(({ name, role, host }, index) => ({
    name,
    role,
    address: `${subnet}.${host}`,
    mac: `02:54:42:00:00:${host.toString(16).padStart(2, '0')}`,
    kind: vm && role === 'compute' ? ('machine' as const) : ('namespaces' as const),
    kernel: host - 11 >= nodes - oldKernels ? ('old' as const) : ('default' as const),
    monotonicOffsetS: (index + 1) * 5 * 3600 + index * 137,
  }));
}
