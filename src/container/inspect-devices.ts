import { readFile, stat } from 'node:fs/promises';

/** Why a device file, a mapping or a descriptor forbids a move: a stable code and what it is called. */
export interface Obstacle {
  code: string;
  /** What the sentence names, for example `the InfiniBand device /dev/infiniband/uverbs0`. */
  what: string;
}

/**
 * Character devices that CRIU dumps (files-reg.c, tty.c): null, zero, full, random, urandom; tty, ptmx and the
 * pseudo-terminals. Major and minor, because a name in a container says nothing.
 */
export function isPlainDevice(major: number, minor: number): boolean {
  if (major === 1) return [3, 5, 7, 8, 9].includes(minor);
  if (major === 5) return minor === 0 || minor === 2;
  return major >= 136 && major <= 143;
}

const kinds: [RegExp, string, string][] = [
  [/^\/dev\/(infiniband\/|uverbs|rdma_cm|issm|umad|hfi1|ipath|psm2)/, 'rdma-device', 'the RDMA device'],
  [/^\/dev\/(nvidia|dri\/|kfd$|mali|accel)/, 'gpu-device', 'the GPU device'],
  [/^\/dev\/(vfio\/|uio|xpmem|knem|cxi|gdrdrv)/, 'other-device', 'the device'],
];

/** Which kind of device a path under /dev is. */
export function deviceObstacle(path: string): Obstacle {
  for (const [pattern, code, what] of kinds) {
    if (pattern.test(path)) return { code, what: `${what} ${path}` };
  }
  return { code: 'other-device', what: `the device ${path}` };
}

/**
 * The kernel's own name of a device, `/dev/infiniband/uverbs0`, from /sys/dev; `fallback` where sysfs does not know it.
 */
export async function deviceName(major: number, minor: number, block: boolean, fallback: string): Promise<string> {
  try {
    const uevent = await readFile(`/sys/dev/${block ? 'block' : 'char'}/${major}:${minor}/uevent`, 'utf8');
    const name = /^DEVNAME=(.+)$/m.exec(uevent)?.[1];
    return name === undefined ? fallback : `/dev/${name}`;
  } catch {
    return fallback;
  }
}

/** What an open descriptor's device is, where CRIU cannot dump it. `link` is /proc/PID/fd/N. */
export async function openDevice(link: string, path: string): Promise<Obstacle | undefined> {
  const status = await stat(link);
  if (!status.isCharacterDevice() && !status.isBlockDevice()) return undefined;
  const { major, minor } = splitDeviceNumber(status.rdev);
  if (status.isCharacterDevice() && isPlainDevice(major, minor)) return undefined;
  return deviceObstacle(await deviceName(major, minor, status.isBlockDevice(), path));
}

/** Splits st_rdev as the C library does (makedev(3)). */
export function splitDeviceNumber(device: number): { major: number; minor: number } {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn & 0xffffffffn);
  return { major: Number(major), minor: Number(minor) };
}

/** Kernel objects behind `anon_inode:` that CRIU dumps. */
const plainInodes = /^anon_inode:(\[(eventfd|eventpoll|signalfd|timerfd|pidfd)\]|inotify|\[inotify\])$/;

const inodes: [RegExp, string, string][] = [
  [/io_uring/, 'io-uring', 'an io_uring'],
  [/perf_event/, 'perf-event', 'a performance counter (perf_event_open)'],
  [/bpf/, 'bpf', 'a BPF object'],
  [/fanotify/, 'fanotify', 'a fanotify group'],
  [/userfaultfd/, 'userfaultfd', 'a userfaultfd'],
  [/uverbs|infinibandevent/, 'rdma-device', 'an RDMA event channel'],
  [/dmabuf|sync_file/, 'gpu-device', 'a buffer of a GPU'],
  [/kvm/, 'kvm', 'a virtual machine'],
];

/** What a descriptor's link (`anon_inode:[io_uring]`, `/dmabuf:`) stands for, where CRIU cannot dump it. */
export function inodeObstacle(link: string): Obstacle | undefined {
  const anonymous = link.startsWith('anon_inode:') || link.startsWith('/dmabuf');
  if (!anonymous || plainInodes.test(link)) return undefined;
  for (const [pattern, code, what] of inodes) if (pattern.test(link)) return { code, what };
  return { code: 'unsupported-file', what: `a kernel object that CRIU cannot save (${link})` };
}
