import { readFileSync } from 'node:fs';

/** Enough for every MPI program; a higher one only makes programs that walk all descriptors slow. */
const wantedFiles = 65_536;

/**
 * Limits of a rank container: all that this process itself may have. A higher one needs CAP_SYS_RESOURCE, which the
 * agent has on a real node, where systemd gives it unlimited ones (slurm/systemd/rankshift-agent.service).
 */
export function ownLimits(text: string = readFileSync('/proc/self/limits', 'utf8')): {
  nofile: number;
  memlockBytes: number | 'unlimited';
} {
  const hard = (name: string) => new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, 'm').exec(text)?.[1] ?? 'unlimited';
  const files = hard('Max open files');
  const locked = hard('Max locked memory');
  return {
    nofile: files === 'unlimited' ? wantedFiles : Math.min(wantedFiles, Number(files)),
    memlockBytes: locked === 'unlimited' ? 'unlimited' : Number(locked),
  };
}
