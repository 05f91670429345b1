import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';
import { summarize } from './statistics.ts';

/** What kind of machine measured; nothing that names it. */
export interface Machine {
  cores: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  /** What one processor takes for a fixed piece of work, ms, median of five: figures of two machines are compared by it. */
  workMs: number;
}

export function describeMachine(): Machine {
  return {
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: /^\d+\.\d+(\.\d+)?/.exec(release())?.[0] ?? 'unknown',
    node: process.versions.node,
    workMs: Math.round(summarize(Array.from({ length: 5 }, workMs)).median),
  };
}

/** Records as they go between controller and Redis: text, and a hash over it. */
function workMs(): number {
  const record = {
    id: '1.0',
    phases: Array.from({ length: 20 }, (_, at) => ({ name: `phase ${at}`, at, ms: at / 3 })),
  };
  const from = performance.now();
  for (let round = 0; round < 10_000; round++) {
    const text = JSON.stringify(JSON.parse(JSON.stringify({ ...record, round })));
    createHash('sha256').update(text).digest();
  }
  return performance.now() - from;
}

/** Load average of the last minute: says whether others used the machine. */
export function load(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Bytes that can be had without swapping (MemAvailable of proc_meminfo(5)). */
export function availableMemoryBytes(): number {
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
}
