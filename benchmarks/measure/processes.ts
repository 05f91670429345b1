import { readFileSync, writeFileSync } from 'node:fs';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { servicePid } from '../../mpi-tests/support/service.ts';

/** One of our daemons, found through its node's own /proc. */
export interface Daemon {
  /** `agent n1` */
  name: string;
  node: string;
  proc: string;
}

/** The controller and all agents of a testbed. */
export function daemons(cluster: Cluster): Daemon[] {
  const wanted = [
    { node: 'ctl', service: 'controller' as const },
    ...cluster.nodes.map((node) => ({ node, service: 'agent' as const })),
  ];
  return wanted.map(({ node, service }) => {
    const pid = servicePid(cluster, node, service);
    if (pid === undefined) throw new Error(`${service} does not run on ${node}`);
    const name = service === 'controller' ? service : `${service} ${node}`;
    return { name, node, proc: cluster.testbed.path(node, `/proc/${pid}`) };
  });
}

/** USER_HZ of every Linux architecture but alpha (time(7)). */
const ticksPerSecond = 100;

/** Processor time that the process has used, seconds (proc_pid_stat(5), fields 14 and 15). */
export function processorSeconds({ proc }: Daemon): number {
  const stat = readFileSync(`${proc}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function kibibytes(text: string, key: string): number {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (found === undefined) throw new Error(`no ${key} in /proc`);
  return Number(found);
}

/** Resident memory in MiB, and what of it no other process shares. */
export function residentMiB({ proc }: Daemon): { rss: number; own: number } {
  const text = readFileSync(`${proc}/smaps_rollup`, 'utf8');
  const own = kibibytes(text, 'Private_Clean') + kibibytes(text, 'Private_Dirty');
  return { rss: kibibytes(text, 'Rss') / 1024, own: own / 1024 };
}

/** Makes the kernel forget the peak of the resident memory (proc_pid_clear_refs(5), value 5). */
export function forgetPeak({ proc }: Daemon): void {
  writeFileSync(`${proc}/clear_refs`, '5');
}

/** Peak of the resident memory since forgetPeak, MiB (VmHWM of proc_pid_status(5)). */
export function peakMiB({ proc }: Daemon): number {
  return kibibytes(readFileSync(`${proc}/status`, 'utf8'), 'VmHWM') / 1024;
}
