import { deviceObstacle, inodeObstacle, type Obstacle } from './inspect-devices.ts';

/** Memory facts of one process, or of a container by addition. Sizes in bytes. */
export interface MemoryFacts {
  /** Resident, shared memory included; shared pages count in every process that maps them. */
  rssBytes: number;
  /** Resident, each shared page divided by its mappers: the size of what a dump has to write, and file pages. */
  pssBytes: number;
  /** The part of pssBytes that is shared memory (tmpfs, memfd, shared anonymous). */
  shmemBytes: number;
  swapBytes: number;
  mappings: number;
  threads: number;
  processes: number;
}

export const noMemory: MemoryFacts = {
  rssBytes: 0,
  pssBytes: 0,
  shmemBytes: 0,
  swapBytes: 0,
  mappings: 0,
  threads: 0,
  processes: 0,
};

export function addMemory(left: MemoryFacts, right: MemoryFacts): MemoryFacts {
  return {
    rssBytes: left.rssBytes + right.rssBytes,
    pssBytes: left.pssBytes + right.pssBytes,
    shmemBytes: left.shmemBytes + right.shmemBytes,
    swapBytes: left.swapBytes + right.swapBytes,
    mappings: left.mappings + right.mappings,
    threads: left.threads + right.threads,
    processes: left.processes + right.processes,
  };
}

/** Adds up one process from smaps_rollup, maps and status (Documentation/filesystems/proc.rst). */
export function memoryOf(rollup: string, maps: string, status: string): MemoryFacts {
  const kilobytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1] ?? '0') * 1024;
  return {
    rssBytes: kilobytes('Rss'),
    pssBytes: kilobytes('Pss'),
    shmemBytes: kilobytes('Pss_Shmem'),
    swapBytes: kilobytes('Swap'),
    mappings: maps.split('\n').filter((line) => line !== '').length,
    threads: Number(/^Threads:\s+(\d+)$/m.exec(status)?.[1] ?? '1'),
    processes: 1,
  };
}

/** Mappings that are not memory of a plain file or of nobody, by their name in /proc/PID/maps. */
const odd = /^(\/dev\/(?!shm\/|zero)|\/sys\/|\/proc\/|anon_inode:|\/dmabuf|\/anon_hugepage|\/dev\/hugepages)/;

/**
 * Mappings that CRIU cannot dump: memory of devices (VM_IO, VM_PFNMAP), rings of the kernel, huge pages. Such memory
 * always belongs to a file, so /proc/PID/maps, which costs no walk of the page tables, is enough to find it.
 */
export function mappingObstacles(maps: string): Obstacle[] {
  const names = new Set([...maps.matchAll(/^\S+ \S+ \S+ \S+ \d+ +(.+)$/gm)].map(([, name]) => name ?? ''));
  return [...names].filter((name) => odd.test(name)).flatMap((name) => mappingObstacle(name) ?? []);
}

function mappingObstacle(name: string): Obstacle | undefined {
  if (/hugepage/.test(name))
    return { code: 'huge-pages', what: 'huge pages (hugetlbfs), which the target may not have' };
  const inode = inodeObstacle(name);
  if (inode !== undefined) return inode;
  const path = name.replace(/ \(deleted\)$/, '');
  if (path.startsWith('/dev/')) {
    const { code, what } = deviceObstacle(path);
    return { code: code === 'other-device' ? 'device-memory' : code, what: `memory of ${what}` };
  }
  if (path.startsWith('/sys/')) return { code: 'device-memory', what: `memory of a device (${path})` };
  return undefined;
}

/** Huge pages in use, from smaps_rollup; they have no name where a memfd or a SysV segment holds them. */
export function hugePageObstacle(rollup: string): Obstacle | undefined {
  const bytes = [...rollup.matchAll(/^(?:Shared|Private)_Hugetlb:\s+(\d+) kB$/gm)].map(([, size]) => Number(size));
  if (bytes.every((size) => size === 0)) return undefined;
  return { code: 'huge-pages', what: 'huge pages (hugetlbfs), which the target may not have' };
}
