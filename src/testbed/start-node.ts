import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { lastLines } from '../process/run.ts';
import { createNodeCgroup } from './cgroups.ts';
import { checkoutDir, scriptDir, testbedPaths } from './paths.ts';
import type { NodeState, TestbedState } from './state.ts';

export interface NodeFiles {
  /** Directories of the root overlay below the node's own changes, uppermost first. */
  lower: string[];
  /** Cached image layers: hash and directory. */
  layers: { hex: string; dir: string }[];
  /** The image store as this node sees it. */
  imagesDir: string;
  /** Size of /var/lib/rankshift, as of tmpfs(5). */
  stateSize: string;
}

/**
 * Starts one node: cgroups, namespaces, root file system, tini. Released by destroyCgroup: with its processes go its
 * namespaces, and with those its mounts and links.
 * @returns PID 1 of the node as the machine sees it.
 * @throws RankshiftError E_COMMAND with the node's log where it does not come up.
 */
export async function startNode(state: TestbedState, node: NodeState, files: NodeFiles): Promise<InitProcess> {
  const paths = testbedPaths(state.name);
  const dir = join(paths.nodesDir, node.name);
  mkdirSync(dir, { recursive: true });
  const cgroups = state.cgroups.map(({ controller, dir: parent }) => ({
    controller,
    path: createNodeCgroup(controller, parent, node.name),
  }));
  const v1 = cgroups.map(({ controller }) => controller).filter((controller) => controller !== 'unified');
  const argv = [
    ...[String(node.monotonicOffsetS), String(node.monotonicOffsetS)],
    ...cgroups.map(({ path }) => join(path, 'cgroup.procs')),
    ...['--', join(scriptDir, 'node-root'), node.name, dir, files.lower.join(':'), files.stateSize, checkoutDir],
    ...[paths.homeDir, files.imagesDir, node.role === 'management' ? paths.redisDir : '-'],
    files.layers.map((layer) => `${layer.hex}=${layer.dir}`).join(' '),
    ...[v1.length === 0 ? '-' : v1.join(' '), 'unified'],
  ];
  const logFile = join(paths.nodesDir, `${node.name}.log`);
  const log = openSync(logFile, 'w');
  const starter = spawn(join(scriptDir, 'start-node'), argv, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const ended = new Promise<boolean>((resolve) => {
    starter.once('exit', () => resolve(true));
    starter.once('error', () => resolve(true));
  });
  starter.unref();
  const unified = cgroups.find(({ controller }) => controller === 'unified')?.path ?? '';
  const deadline = performance.now() + 15_000;
  while (performance.now() < deadline) {
    const init = findInit(unified);
    if (init !== undefined) return init;
    if (await Promise.race([ended, sleep(5, false)])) break;
  }
  const lines = existsSync(logFile) ? lastLines(readFileSync(logFile, 'utf8'), 5) : [];
  throw new RankshiftError('E_COMMAND', `node ${node.name} did not start: ${lines.join(' | ')}`, { lines });
}

export interface InitProcess {
  pid: number;
  startTime: string;
}

/** The process of the cgroup that is PID 1 of its own namespace and has become tini. */
function findInit(cgroup: string): InitProcess | undefined {
  for (const pid of readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const isInit = /^NSpid:.*\s1$/m.test(status) && /^Name:\s+tini$/m.test(status);
      if (isInit) return { pid, startTime: startTimeOf(pid) };
    } catch {
      // The process ended while we looked.
    }
  }
  return undefined;
}

/** A process of this machine, told from a later one of the same number. */
export function processAt(pid: number): InitProcess {
  return { pid, startTime: startTimeOf(pid) };
}

function startTimeOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

/** True while PID 1 of the node is the process that was started. */
export function isRunning(init: InitProcess | undefined): init is InitProcess {
  try {
    return init !== undefined && startTimeOf(init.pid) === init.startTime;
  } catch {
    return false;
  }
}
