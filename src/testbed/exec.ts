import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { type RunOptions, type RunResult, run } from '../process/run.ts';
import { scriptDir } from './paths.ts';
import { isRunning } from './start-node.ts';
import { type NodeState, nodeOf, type TestbedState } from './state.ts';
import { machineArgv } from './vm/machine-argv.ts';

export interface ExecOptions extends RunOptions {
  /** @defaultValue root */
  user?: string;
}

/**
 * argv that runs a command inside a node: in all its namespaces and cgroups, with a fresh environment, as the user, in
 * the user's home. The command dies with the argv's process.
 * @throws RankshiftError E_AGENT where the node is not running.
 */
export function enterArgv(
  state: TestbedState,
  node: NodeState,
  command: readonly string[],
  { user = 'root', term }: { user?: string; term?: string | undefined } = {},
): [string, ...string[]] {
  const { init } = node;
  if (!isRunning(init)) {
    throw new RankshiftError('E_COMMAND', `node ${node.name} of testbed ${state.name} is not running`, {
      action: `Start afresh: rankshift testbed down --name ${state.name}; rankshift testbed up --name ${state.name}`,
    });
  }
  const home = user === 'root' ? '/root' : `/home/${user}`;
  const environment = [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    `HOME=${home}`,
    `USER=${user}`,
    `LOGNAME=${user}`,
    'SHELL=/bin/bash',
    'LANG=C.UTF-8',
    ...(term === undefined ? [] : [`TERM=${term}`]),
  ];
  const identity = user === 'root' ? [] : [`--reuid=${user}`, `--regid=${user}`, '--init-groups'];
  const inside = [
    ...['/usr/bin/env', '-i', `--chdir=${home}`, ...environment],
    ...['/usr/bin/setpriv', '--pdeathsig=KILL', ...identity, '--', ...command],
  ];
  if (node.kind === 'machine') {
    const [management] = state.nodes;
    if (management === undefined) throw new RankshiftError('E_INTERNAL', 'a testbed without management node');
    return enterArgv(state, management, machineArgv(node, inside, term !== undefined), { term });
  }
  return [
    // Killed with us, and with it the command: each hop dies with the one before.
    ...(['setpriv', '--pdeathsig=KILL', '--'] as const),
    join(scriptDir, 'enter-node'),
    String(init.pid),
    ...state.cgroups.map(({ dir }) => join(dir, node.name, 'cgroup.procs')),
    ...['--', ...inside],
  ];
}

/** Runs a command in a node; as `run` otherwise. @throws RankshiftError as run, and E_UNKNOWN_NODE. */
export async function execInNode(
  state: TestbedState,
  node: string,
  command: readonly string[],
  { user = 'root', ...options }: ExecOptions = {},
): Promise<RunResult> {
  const [file, ...args] = enterArgv(state, nodeOf(state, node), command, { user });
  return await run(file, args, options);
}

/** Starts a command in a node and returns at once; its streams are pipes. */
export function spawnInNode(
  state: TestbedState,
  node: string,
  command: readonly string[],
  { user = 'root' }: { user?: string } = {},
): ChildProcess {
  const [file, ...args] = enterArgv(state, nodeOf(state, node), command, { user });
  return spawn(file, args, { stdio: 'pipe' });
}

/** Runs a command in a node on our own terminal or streams. Returns its exit code; 128 + n for signal n. */
export async function execOnTerminal(
  state: TestbedState,
  node: string,
  command: readonly string[],
  { user = 'root' }: { user?: string } = {},
): Promise<number> {
  const term = process.env['TERM'];
  const [file, ...args] = enterArgv(state, nodeOf(state, node), command, { user, term });
  // The terminal signals the whole foreground group: the command decides what an interrupt means.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  process.on('SIGQUIT', ignore);
  const child = spawn(file, args, { stdio: 'inherit' });
  return await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      process.off('SIGINT', ignore);
      process.off('SIGQUIT', ignore);
      resolve(code ?? 128);
    });
  });
}
