import { readFile, statfs } from 'node:fs/promises';
import { release } from 'node:os';

/** Share of time, in percent over 10 s, in which some or all tasks waited (Documentation/accounting/psi.rst). */
export interface Pressure {
  some: number;
  full: number;
}

/** What a node has left. */
export interface NodeResources {
  memoryTotalBytes: number;
  /** MemAvailable: what can be used without swapping. */
  memoryAvailableBytes: number;
  swapFreeBytes: number;
  stateDirFreeBytes: number;
  /** Absent on file systems that do not count inodes (btrfs). */
  stateDirFreeInodes?: number;
  kernel: string;
  /** Load average over 1, 5 and 15 minutes. */
  load: [number, number, number];
  /** Absent where the kernel was built or booted without PSI. */
  pressure?: { cpu: Pressure; memory: Pressure; io: Pressure };
}

/**
 * Measures this node.
 * @throws where stateDir does not exist.
 */
export async function nodeResources(stateDir: string): Promise<NodeResources> {
  const [meminfo, space, loadavg, pressure] = await Promise.all([
    readFile('/proc/meminfo', 'utf8'),
    statfs(stateDir),
    readFile('/proc/loadavg', 'utf8'),
    readPressure(),
  ]);
  const [one = 0, five = 0, fifteen = 0] = loadavg.split(' ').map(Number);
  return {
    memoryTotalBytes: meminfoBytes(meminfo, 'MemTotal'),
    memoryAvailableBytes: meminfoBytes(meminfo, 'MemAvailable'),
    swapFreeBytes: meminfoBytes(meminfo, 'SwapFree'),
    stateDirFreeBytes: space.bavail * space.bsize,
    ...(space.files === 0 ? {} : { stateDirFreeInodes: space.ffree }),
    kernel: release(),
    load: [one, five, fifteen],
    ...(pressure === undefined ? {} : { pressure }),
  };
}

/** One line of /proc/meminfo in bytes; 0 where it is absent. */
export function meminfoBytes(meminfo: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? '0') * 1024;
}

/** Reads `some avg10=0.00 ...` and `full avg10=0.00 ...`; older kernels have no `full` for the CPU. */
export function parsePressure(text: string): Pressure {
  const average = (kind: string) => Number(new RegExp(`^${kind} avg10=([\\d.]+)`, 'm').exec(text)?.[1] ?? '0');
  return { some: average('some'), full: average('full') };
}

async function readPressure(): Promise<NodeResources['pressure']> {
  try {
    const read = async (what: string) => parsePressure(await readFile(`/proc/pressure/${what}`, 'utf8'));
    const [cpu, memory, io] = await Promise.all([read('cpu'), read('memory'), read('io')]);
    return { cpu, memory, io };
  } catch {
    return undefined;
  }
}
