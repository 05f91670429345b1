import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from './cluster.ts';
import { GaveUp, until } from './until.ts';

export interface SubmitOptions {
  /** @defaultValue 2 */
  nodes?: number;
  /** Hostlist of exactly these nodes, in Slurm's order. */
  nodelist?: string;
  tasksPerNode?: number;
  /** @defaultValue alice */
  user?: string;
  /** Options of `rankshift run`, for example `--image mpich`. */
  run?: string;
  /** Further lines of `#SBATCH`. */
  sbatch?: string[];
}

export interface JobEnd {
  /** As of squeue(1): COMPLETED, FAILED, CANCELLED, ... */
  state: string;
  /** Of the script. */
  exitCode: number;
  /** Signal that ended the script, 0 where none did. */
  signal: number;
}

/** A job of an ordinary user, submitted with sbatch on the login node. */
export class Job {
  readonly cluster: Cluster;
  readonly id: number;
  readonly user: string;

  constructor(cluster: Cluster, id: number, user: string) {
    this.cluster = cluster;
    this.id = id;
    this.user = user;
  }

  /** Name of a container: `42.1`. */
  container(index: number): string {
    return `${this.id}.${index}`;
  }

  get stdout(): string {
    return this.#read('out');
  }

  get stderr(): string {
    return this.#read('err');
  }

  /** Both, for messages of failed tests. */
  get all(): string {
    return `${this.stdout}${this.stderr}`;
  }

  #read(kind: 'out' | 'err'): string {
    const file = join(this.cluster.testbed.paths.homeDir, this.user, `job-${this.id}.${kind}`);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Lines of standard output that the pattern matches. */
  lines(pattern: RegExp): string[] {
    return this.stdout.split('\n').filter((line) => pattern.test(line));
  }

  /** Waits until at least `count` lines of standard output match. Fails at once where the job has ended without. */
  async untilPrinted(pattern: RegExp, count = 1, timeoutMs = 60_000 * this.cluster.patience): Promise<string[]> {
    return await until(
      `job ${this.id} prints ${count} times ${pattern}`,
      async () => {
        const found = this.lines(pattern);
        if (found.length >= count) return found;
        const ended = await this.ended();
        if (ended === undefined || this.lines(pattern).length >= count) return undefined;
        throw new GaveUp(`job ${this.id} ended (${JSON.stringify(ended)}) before ${pattern}: ${this.all}`);
      },
      { timeoutMs, pollMs: 100 },
    );
  }

  /** How the job ended, or undefined while it has not. */
  async ended(): Promise<JobEnd | undefined> {
    const text = await this.cluster.output('ctl', ['scontrol', '--oneliner', 'show', 'job', String(this.id)]);
    const state = /JobState=(\w+)/.exec(text)?.[1] ?? 'UNKNOWN';
    if (['PENDING', 'RUNNING', 'COMPLETING', 'CONFIGURING', 'SUSPENDED'].includes(state)) return undefined;
    const [, code, signal] = /ExitCode=(\d+):(\d+)/.exec(text) ?? [];
    return { state, exitCode: Number(code), signal: Number(signal) };
  }

  /**
   * Ends a test program of ours in good order: SIGUSR1 goes from Slurm through `rankshift run` and mpirun to the ranks.
   * @returns how the job ended, and how often the program said that all is right
   */
  async finish(): Promise<JobEnd & { verified: number }> {
    await this.tellToEnd();
    const end = await this.untilEnded(60_000 * this.cluster.patience);
    return { ...end, verified: this.lines(/VERIFICATION SUCCESSFUL$/).length };
  }

  async tellToEnd(): Promise<void> {
    await this.cluster.output('login', ['scancel', '--batch', '--signal=USR1', String(this.id)], { user: this.user });
  }

  async untilEnded(timeoutMs = 120_000 * this.cluster.patience): Promise<JobEnd> {
    return await until(`job ${this.id} ends`, () => this.ended(), { timeoutMs, pollMs: 100 });
  }
}

/** What `finish` gives for a job that lost nothing. */
export const endedVerified = { state: 'COMPLETED', exitCode: 0, signal: 0, verified: 1 };

/** Submits a batch script as an ordinary user; its output goes to job-ID.out and job-ID.err in the user's home. */
export async function submit(cluster: Cluster, script: string, options: SubmitOptions = {}): Promise<Job> {
  const { nodes = 2, nodelist, tasksPerNode = 1, user = 'alice', sbatch = [] } = options;
  const head = [
    '#!/bin/bash',
    `#SBATCH --nodes=${nodes} --ntasks-per-node=${tasksPerNode}`,
    ...(nodelist === undefined ? [] : [`#SBATCH --nodelist=${nodelist}`]),
    '#SBATCH --output=job-%j.out --error=job-%j.err',
    ...sbatch.map((line) => `#SBATCH ${line}`),
  ];
  const input = `${[...head, script].join('\n')}\n`;
  const answer = await cluster.output('login', ['sbatch', '--parsable'], { user, input });
  return new Job(cluster, Number(answer), user);
}

/** Submits a script that is one `rankshift run`. */
export async function submitRun(cluster: Cluster, program: string, options: SubmitOptions = {}): Promise<Job> {
  const { run = '' } = options;
  return await submit(cluster, `exec rankshift run ${run} -- ${program}`, options);
}

/** Cancels all jobs of the cluster and waits until Slurm has none. */
export async function endJobs(cluster: Cluster): Promise<void> {
  const jobs = async () =>
    (await cluster.output('ctl', ['squeue', '--noheader', '--format=%i'])).split('\n').join(' ').trim();
  if ((await jobs()) === '') return;
  await cluster.exec('ctl', ['scancel', '--state=PENDING', '--user=alice']);
  await cluster.exec('ctl', ['scancel', '--user=alice']);
  await cluster.exec('ctl', ['scancel', '--user=bob']);
  await until('no job is left', async () => (await jobs()) === '', {
    timeoutMs: 40_000 * cluster.patience,
    pollMs: 150,
  });
}
