import { join } from 'node:path';
import type { Cluster } from '../support/cluster.ts';
import { list, read, whatRuns } from './runs.ts';

const sampleMs = 10;
const migrations = '/var/lib/rankshift/migrations';

/**
 * Looks all the time, from outside the nodes, on how many of them a container runs. A copy runs where processes of its
 * cgroup may run (runs.ts), unless a move towards that node has not let go of it: then they are CRIU's, or what runc
 * makes the cgroup with.
 */
export class CopyWatch {
  readonly #cluster: Cluster;
  readonly #job: number;
  readonly #index: number;
  readonly #violations: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(cluster: Cluster, job: number, index: number) {
    this.#cluster = cluster;
    this.#job = job;
    this.#index = index;
  }

  start(): void {
    // A test that fails before it ends its watch still lets the process end.
    this.#timer = setInterval(() => this.#sample(), sampleMs).unref();
  }

  /** Ends the watch. @returns what was seen that must never be */
  stop(): string[] {
    clearInterval(this.#timer);
    return this.#violations;
  }

  /** Nodes on which the container runs now. */
  running(): string[] {
    return this.#look(this.#cluster.nodes).map(({ node }) => node);
  }

  #sample(): void {
    const running = this.#look(this.#cluster.nodes);
    const last = running.pop();
    if (last === undefined || running.length === 0) return;
    // One after another: what ran when it was looked at may have been frozen since, where this process had to wait.
    const still = this.#look(running.map(({ node }) => node));
    if (still.length === 0) return;
    const all = [...still, last];
    const threads = all.map(({ node, thread }) => `${node}: ${thread}`).join('; ');
    this.#violations.push(`runs on ${all.map(({ node }) => node).join(' and ')} (${threads})`);
  }

  #look(nodes: readonly string[]): { node: string; thread: string }[] {
    return nodes.flatMap((node) => {
      const group = this.#cluster.testbed.path(node, `/sys/fs/cgroup/rankshift/rs-${this.#job}-${this.#index}`);
      if (whatRuns(group) === null || this.#isComing(node)) return [];
      // Once more behind it: a copy that was given up goes before the files that say that it was coming.
      const thread = whatRuns(group);
      return thread === null ? [] : [{ node, thread }];
    });
  }

  /** A copy on the target of a move counts from CRIU's `pre-resume` on. */
  #isComing(node: string): boolean {
    const directory = this.#cluster.testbed.path(node, migrations);
    return list(directory).some((id) => {
      const role = read(join(directory, id, 'role.json'));
      if (role === '') return false;
      const { role: part, container } = JSON.parse(role) as { role: string; container: string };
      const ours = part === 'target' && container === `${this.#job}.${this.#index}`;
      return ours && !read(join(directory, id, 'gate.log')).includes('pre-resume');
    });
  }
}
