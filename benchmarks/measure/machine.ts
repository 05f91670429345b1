import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';

/** What kind of machine measured; nothing that names it. */
export interface Machine {
  cores: number;
  memoryGiB: number;
  kernel: string;
  node: string;
}

export function describeMachine(): Machine {
  return {
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: /^\d+\.\d+(\.\d+)?/.exec(release())?.[0] ?? 'unknown',
    node: process.versions.node,
  };
}

/** Load average of the last minute: says whether others used the machine. */
export function load(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Bytes that can be had without swapping (MemAvailable of proc_meminfo(5)). */
export function availableMemoryBytes(): number {
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
}
