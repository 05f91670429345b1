import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../support/cluster.ts';

const sampleMs = 10;
const killBit = 1n << 8n; // SIGKILL in the masks of proc_pid_status(5)
const exitingOrKilled = 0x4 | 0x400; // PF_EXITING, PF_SIGNALED (linux/sched.h), the ninth field of proc_pid_stat(5)

/**
 * Looks all the time, from outside the nodes, on how many of them a container runs. A copy runs where its cgroup has
 * living processes that are not frozen, unless it is one that CRIU has not let go of yet.
 */
export class CopyWatch {
  readonly #cluster: Cluster;
  readonly #job: number;
  readonly #index: number;
  readonly #violations: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** The move under way: a copy on its target counts from CRIU's `pre-resume` on. */
  #move: { id: string; target: string } | undefined;

  constructor(cluster: Cluster, job: number, index: number) {
    this.#cluster = cluster;
    this.#job = job;
    this.#index = index;
  }

  start(): void {
    // A test that fails before it ends its watch still lets the process end.
    this.#timer = setInterval(() => this.#sample(), sampleMs).unref();
  }

  expect(id: string, target: string): void {
    this.#move = { id, target };
  }

  /** Ends the watch. @returns what was seen that must never be */
  stop(): string[] {
    clearInterval(this.#timer);
    return this.#violations;
  }

  /** Nodes on which the container runs now. */
  running(): string[] {
    return this.#cluster.nodes.filter((node) => this.#runs(node));
  }

  #sample(): void {
    const running = this.running();
    if (running.length > 1) this.#violations.push(`runs on ${running.join(' and ')}`);
  }

  #runs(node: string): boolean {
    const group = this.#cluster.testbed.path(node, `/sys/fs/cgroup/rankshift/rs-${this.#job}-${this.#index}`);
    const events = read(join(group, 'cgroup.events'));
    if (!/^populated 1$/m.test(events) || /^frozen 1$/m.test(events)) return false;
    if (node === this.#move?.target && this.#restoring(this.#move)) return false;
    return processes(group).some((pid) => lives(pid));
  }

  #restoring({ id, target }: { id: string; target: string }): boolean {
    const directory = this.#cluster.testbed.path(target, `/var/lib/rankshift/migrations/${id}`);
    return read(join(directory, 'role.json')) !== '' && !read(join(directory, 'gate.log')).includes('pre-resume');
  }
}

function processes(group: string): string[] {
  let below: string[] = [];
  try {
    below = readdirSync(group, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => processes(join(group, entry.name)));
  } catch {
    // The cgroup went away in between.
  }
  return [...read(join(group, 'cgroup.procs')).split('\n').filter(Boolean), ...below];
}

/** A process that got SIGKILL but has not ended yet runs no instruction of its program any more. */
function lives(pid: string): boolean {
  const status = read(`/proc/${pid}/status`);
  if (status === '' || /^State:\s+[ZX]/m.test(status)) return false;
  const flags = Number(
    read(`/proc/${pid}/stat`)
      .replace(/^.*\) /, '')
      .split(' ')[6] ?? exitingOrKilled,
  );
  if ((flags & exitingOrKilled) !== 0) return false;
  const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s+([0-9a-f]+)$/gm)];
  return !pending.some(([, mask]) => (BigInt(`0x${mask}`) & killBit) !== 0n);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
