import { readdir, readFile, readlink } from 'node:fs/promises';
import { inodeObstacle, type Obstacle, openDevice } from './inspect-devices.ts';
import {
  addMemory,
  hugePageObstacle,
  type MemoryFacts,
  mappingObstacles,
  memoryOf,
  noMemory,
} from './inspect-memory.ts';

/** One thing that forbids to move a process. */
export interface InspectReason {
  /** Stable: rdma-device, gpu-device, io-uring, perf-event, host-file, traced, .... */
  code: string;
  /** A sentence that names program, process id and what it holds. */
  message: string;
  pid: number;
  command: string;
}

export interface Inspection {
  reasons: InspectReason[];
  memory: MemoryFacts;
}

/**
 * Looks at the processes of a rank container in /proc, from the node's process namespace and as root; changes nothing.
 * Processes that end meanwhile are left out.
 * @returns what CRIU could not dump, each thing once per process, and the memory of all of them.
 */
export async function inspectProcesses(pids: readonly number[]): Promise<Inspection> {
  const inspections = await Promise.all(pids.map(inspectProcess));
  return {
    reasons: inspections.flatMap(({ reasons }) => reasons),
    memory: inspections.map(({ memory }) => memory).reduce(addMemory, noMemory),
  };
}

async function inspectProcess(pid: number): Promise<Inspection> {
  const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8');
  try {
    const [command, status, maps, rollup, mountinfo] = await Promise.all(
      ['comm', 'status', 'maps', 'smaps_rollup', 'mountinfo'].map(read),
    );
    const obstacles = [
      ...(await descriptorObstacles(pid, mountIds(mountinfo ?? ''))),
      ...mappingObstacles(maps ?? ''),
      hugePageObstacle(rollup ?? ''),
      await tracerObstacle(status ?? ''),
    ].filter((obstacle) => obstacle !== undefined);
    return {
      reasons: toReasons(obstacles, pid, (command ?? '').trimEnd()),
      memory: memoryOf(rollup ?? '', maps ?? '', status ?? ''),
    };
  } catch (error) {
    if (hasEnded(error)) return { reasons: [], memory: noMemory };
    throw error;
  }
}

function toReasons(obstacles: readonly Obstacle[], pid: number, command: string): InspectReason[] {
  const once = new Map(obstacles.map((obstacle) => [`${obstacle.code} ${obstacle.what}`, obstacle]));
  return [...once.values()].map(({ code, what }) => ({
    code,
    message: `${command} (process ${pid}) ${code === 'traced' ? what : `uses ${what}`}`,
    pid,
    command,
  }));
}

/** The mounts that a process sees, as /proc/PID/fdinfo numbers them. */
function mountIds(mountinfo: string): Set<string> {
  return new Set([...mountinfo.matchAll(/^(\d+) /gm)].map(([, id]) => id ?? ''));
}

async function descriptorObstacles(pid: number, mounts: Set<string>): Promise<Obstacle[]> {
  const numbers = await readdir(`/proc/${pid}/fd`);
  const found = await Promise.all(
    numbers.map(async (number) => {
      try {
        return await descriptorObstacle(pid, number, mounts);
      } catch (error) {
        if (hasEnded(error)) return undefined;
        throw error;
      }
    }),
  );
  return found.filter((obstacle) => obstacle !== undefined);
}

async function descriptorObstacle(pid: number, number: string, mounts: Set<string>): Promise<Obstacle | undefined> {
  const link = `/proc/${pid}/fd/${number}`;
  const path = await readlink(link);
  const inode = inodeObstacle(path);
  if (inode !== undefined) return inode;
  // Sockets, pipes, and files that the kernel keeps in mounts of its own.
  if (!path.startsWith('/') || path.startsWith('/memfd:') || path.startsWith('/SYSV')) return undefined;
  const device = await openDevice(link, path);
  if (device !== undefined) return device;
  if (path === '/dev/null') return undefined;
  // CRIU looks a file up by its mount ("Can't lookup mount=.. for fd=.."): one outside the container's mounts is lost.
  const fdinfo = await readFile(`/proc/${pid}/fdinfo/${number}`, 'utf8');
  const mount = /^mnt_id:\s+(\d+)$/m.exec(fdinfo)?.[1];
  if (mount === undefined || mounts.has(mount)) return undefined;
  return { code: 'host-file', what: `${path}, a file of the node outside its container (descriptor ${number})` };
}

async function tracerObstacle(status: string): Promise<Obstacle | undefined> {
  const tracer = /^TracerPid:\s+(\d+)$/m.exec(status)?.[1] ?? '0';
  if (tracer === '0') return undefined;
  // TracerPid is the tracing thread: its process is the one that a person knows.
  const thread = await readFile(`/proc/${tracer}/status`, 'utf8').catch(() => '');
  const tracing = /^Tgid:\s+(\d+)$/m.exec(thread)?.[1] ?? tracer;
  const name = await readFile(`/proc/${tracing}/comm`, 'utf8').then(
    (text) => text.trimEnd(),
    () => 'a program',
  );
  return { code: 'traced', what: `is traced by ${name} (process ${tracing}); detach it` };
}

/** EINVAL is what mountinfo says of a process that is ending or a zombie: its namespaces are gone before it is. */
function hasEnded(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return ['ENOENT', 'ESRCH', 'EINVAL'].includes(code);
}
