import { RankshiftError } from '../errors.ts';
import { execInNode } from './exec.ts';
import { type ServiceStatus, serviceStatus } from './services.ts';
import { isRunning } from './start-node.ts';
import { listTestbeds, type NodeState, type Role, readState, type TestbedState } from './state.ts';

export interface NodeStatus {
  name: string;
  role: Role;
  address: string;
  running: boolean;
  services: ServiceStatus[];
  /** Slurm's word for a compute node; absent where Slurm does not answer. */
  slurm?: string;
}

export interface TestbedStatus {
  version: 1;
  name: string;
  stage: TestbedState['stage'] | 'broken';
  nodes: NodeStatus[];
}

/** What runs of a testbed. @throws RankshiftError E_BAD_INPUT where there is none of that name. */
export async function testbedStatus(name: string): Promise<TestbedStatus> {
  const state = readState(name);
  const slurm = await slurmStates(state);
  const ofNode = async (node: NodeState): Promise<NodeStatus> => {
    const word = slurm.get(node.name);
    return {
      name: node.name,
      role: node.role,
      address: node.address,
      running: isRunning(node.init),
      services: await serviceStatus(state, node),
      ...(word === undefined ? {} : { slurm: word }),
    };
  };
  const nodes = await Promise.all(state.nodes.map(ofNode));
  const broken = state.stage === 'up' && nodes.some(({ running }) => !running);
  return { version: 1, name, stage: broken ? 'broken' : state.stage, nodes };
}

/** All testbeds of this machine; one whose state cannot be read shows as broken. */
export async function allStatus(): Promise<TestbedStatus[]> {
  const broken = (name: string): TestbedStatus => ({ version: 1, name, stage: 'broken', nodes: [] });
  return await Promise.all(listTestbeds().map((name) => testbedStatus(name).catch(() => broken(name))));
}

async function slurmStates(state: TestbedState): Promise<Map<string, string>> {
  try {
    const argv = ['sinfo', '--noheader', '--Node', '--format=%N %T'];
    const { stdout } = await execInNode(state, 'ctl', argv, { timeoutMs: 15_000 });
    const pairs = stdout.split('\n').map((line) => line.trim().split(' '));
    return new Map(pairs.flatMap(([node, word]) => (node && word ? [[node, word] as const] : [])));
  } catch (error) {
    if (error instanceof RankshiftError) return new Map();
    throw error;
  }
}
