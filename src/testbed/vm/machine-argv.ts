import type { NodeState } from '../state.ts';

/** Where the management node keeps its connection to a machine: a new one takes a second of emulation. */
const controlPath = ({ name }: NodeState) => `/run/rankshift-testbed-${name}.ssh`;

/** argv that runs a command in a virtual machine, from the management node. ssh joins words: each is quoted for its shell. */
export function machineArgv(node: NodeState, command: readonly string[], terminal: boolean): string[] {
  const options = ['-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', '-o', 'ControlMaster=no', '-S', controlPath(node)];
  return ['ssh', ...options, terminal ? '-t' : '-T', node.name, command.map(quote).join(' ')];
}

/** argv that connects, says so, stays connected in the background, and returns; what ssh says goes to `log`. */
export function connectArgv(node: NodeState, log: string): string[] {
  const options = ['BatchMode=yes', 'ControlMaster=yes', 'ControlPersist=yes', 'ConnectTimeout=300'];
  const ssh = ['ssh', ...options.flatMap((option) => ['-o', option]), '-S', controlPath(node), '-f', '-N', node.name];
  return ['sh', '-c', `exec ${ssh.map(quote).join(' ')} </dev/null >>${quote(log)} 2>&1`];
}

const quote = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
