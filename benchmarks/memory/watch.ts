import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { setInterval } from 'node:timers';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';

const everyMs = 50;
const ownPrograms = /^(rankshift-\w+|criu)$/;

/** Peaks of one node in a move, MiB. */
export interface NodePeaks {
  /** Memory of its own (not of files) of each C program of ours and of CRIU, by name: the largest process. */
  programs: Record<string, number>;
  /** Pages that wait in the memory file system of a move, and what the container has of its memory, together. */
  waitingAndFilled: number;
  /** What waits there when the watch ends. */
  left: number;
}

/** Looks at the processes and the page store of a node, until `stop`. */
export function watchNode(cluster: Cluster, node: string, cgroup: string): { stop: () => NodePeaks } {
  const peaks: NodePeaks = { programs: {}, waitingAndFilled: 0, left: 0 };
  const look = () => {
    for (const { name, anonMiB } of ownProcesses(cluster.testbed.path(node, '/proc'))) {
      peaks.programs[name] = Math.max(peaks.programs[name] ?? 0, anonMiB);
    }
    peaks.left = storeMiB(cluster.testbed.path(node, '/var/lib/rankshift/migrations'));
    const container = containerMiB(cluster, node, cgroup);
    peaks.waitingAndFilled = Math.max(peaks.waitingAndFilled, peaks.left + container);
  };
  const timer = setInterval(look, everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return peaks;
    },
  };
}

/** Empty where the file is gone: processes end while they are looked at. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function ownProcesses(proc: string) {
  return readdirSync(proc)
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      const name = read(`${proc}/${pid}/comm`).trim();
      return ownPrograms.test(name) ? [{ name, anonMiB: residentMiB(`${proc}/${pid}`, ['RssAnon']) }] : [];
    });
}

/** Lines of proc_pid_status(5) together. */
function residentMiB(directory: string, keys: readonly string[]): number {
  const text = read(`${directory}/status`);
  const kib = keys.map((key) => Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0));
  return kib.reduce((sum, value) => sum + value, 0) / 1024;
}

function containerMiB(cluster: Cluster, node: string, cgroup: string): number {
  const pids = read(cluster.testbed.path(node, `${cgroup}/cgroup.procs`))
    .split('\n')
    .filter(Boolean);
  const proc = (pid: string) => cluster.testbed.path(node, `/proc/${pid}`);
  return pids.reduce((sum, pid) => sum + residentMiB(proc(pid), ['RssAnon', 'RssShmem']), 0);
}

function storeMiB(migrations: string): number {
  let ids: string[];
  try {
    ids = readdirSync(migrations);
  } catch {
    return 0;
  }
  const outside = statfsOrNull(migrations);
  return ids.reduce((sum, id) => {
    const inside = statfsOrNull(`${migrations}/${id}/images`);
    // Not mounted yet, or no more: then it is the file system around it.
    if (inside === null || outside === null || inside.blocks === outside.blocks) return sum;
    return sum + ((inside.blocks - inside.bfree) * inside.bsize) / 2 ** 20;
  }, 0);
}

function statfsOrNull(path: string) {
  try {
    return statfsSync(path);
  } catch {
    return null;
  }
}
