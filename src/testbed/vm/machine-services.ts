import { execInNode } from '../exec.ts';
import type { ServiceStatus } from '../services.ts';
import type { NodeState, TestbedState } from '../state.ts';

const listing = `
cd /var/log/rankshift && for log in *.log; do
  name=\${log%.log}
  pid=$(cat /run/rankshift/$name.pid 2>/dev/null)
  state=stopped
  [ -e /run/rankshift/$name.hold ] && state=held
  [ -n "$pid" ] && [ -e /proc/$pid ] && state=running
  echo "$name $state $pid"
done`;

/** What the supervisors inside a virtual machine say; none where it does not answer. */
export async function machineServices(state: TestbedState, node: NodeState): Promise<ServiceStatus[]> {
  const { stdout } = await execInNode(state, node.name, ['/bin/sh', '-c', listing], {
    allow: 'any',
    timeoutMs: 20_000,
  });
  return stdout.split('\n').flatMap((line): ServiceStatus[] => {
    const [name = '', word = '', pid = ''] = line.split(' ');
    if (word === 'running') return [{ name, state: 'running' as const, pid: Number(pid) }];
    if (word === 'held' || word === 'stopped') return [{ name, state: word }];
    return [];
  });
}
