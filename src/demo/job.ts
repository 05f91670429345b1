import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { type ContainerRecord, containerRecordSchema } from '../migration/container.ts';
import { type MigrationRecord, migrationRecordSchema } from '../migration/record.ts';
import type { Testbed } from '../testbed/index.ts';
import type { JobEnd } from './report.ts';

export const user = 'alice';
export const script = 'demo.sh';
const pollMs = 200;

/** NPB CG in one rank container on each of three nodes; computes until it is told to end (SIGUSR1), or so many seconds. */
export const scriptText = `#!/bin/bash
#SBATCH --job-name=demo --nodes=3 --output=demo-%j.out
exec rankshift run -- /opt/rankshift-tests/bin/cg A --seconds "\${1:-20}" --drift
`;

/** What the demo does as the ordinary user on the login node. Every wait ends when `stop` aborts. */
export class DemoUser {
  readonly testbed: Testbed;
  readonly stop: AbortSignal;

  constructor(testbed: Testbed, stop: AbortSignal) {
    this.testbed = testbed;
    this.stop = stop;
  }

  async command(argv: readonly string[], input?: string): Promise<string> {
    this.stop.throwIfAborted();
    const options = input === undefined ? {} : { input };
    return (await this.testbed.exec('login', argv, { user, signal: this.stop, ...options })).stdout;
  }

  /** Waits for controller and agents. @throws RankshiftError E_TIMEOUT naming the nodes that are not ready. */
  async untilServiceReady(): Promise<void> {
    const schema = z.object({ nodes: z.array(z.object({ agentAlive: z.boolean(), criuOk: z.boolean() })) });
    await this.until(30_000, 'the service did not come up', async () => {
      const { exitCode, stdout } = await this.testbed.exec('login', ['rankshift', 'nodes', '--json'], {
        user,
        allow: 'any',
      });
      if (exitCode !== 0) return false;
      const { nodes } = schema.parse(JSON.parse(stdout));
      const ready = nodes.filter(({ agentAlive, criuOk }) => agentAlive && criuOk);
      return ready.length === this.testbed.computeNodes.length;
    });
  }

  /** Submits the script and returns the job's number. */
  async submit(seconds: number): Promise<number> {
    await this.command(['tee', script], scriptText);
    return Number(await this.command(['sbatch', '--parsable', script, String(seconds)]));
  }

  /** The kernel comes to its end, and verifies its result. */
  async tellToEnd(job: number): Promise<void> {
    await this.command(['scancel', '--batch', '--signal=USR1', String(job)]);
  }

  async output(job: number): Promise<string> {
    return readFile(join(this.testbed.paths.homeDir, user, `demo-${job}.out`), 'utf8').catch(() => '');
  }

  async containers(job: number): Promise<ContainerRecord[]> {
    const answer = JSON.parse(await this.command(['rankshift', 'ps', '--json', '--job', String(job)]));
    return z.object({ containers: z.array(containerRecordSchema) }).parse(answer).containers;
  }

  async lastMigration(): Promise<MigrationRecord | undefined> {
    const answer = JSON.parse(await this.command(['rankshift', 'show', '--json', '--last', '1']));
    return z.object({ migrations: z.array(migrationRecordSchema) }).parse(answer).migrations[0];
  }

  /** Waits until Slurm has ended the job, and reads what the program said of its result. */
  async untilEnd(job: number, timeoutMs: number): Promise<JobEnd> {
    const facts = async () => {
      const text = await this.command(['scontrol', 'show', 'job', String(job), '--oneliner']);
      const state = /\bJobState=(\S+)/.exec(text)?.[1] ?? 'UNKNOWN';
      return { state, exitCode: Number(/\bExitCode=(\d+):/.exec(text)?.[1] ?? Number.NaN) };
    };
    let last = await facts();
    await this.until(timeoutMs, 'the job did not end', async () => {
      last = await facts();
      return !['PENDING', 'CONFIGURING', 'RUNNING', 'COMPLETING'].includes(last.state);
    });
    const verification = /VERIFICATION (\w+)/.exec(await this.output(job))?.[1] ?? null;
    return { state: last.state, exitCode: Number.isNaN(last.exitCode) ? null : last.exitCode, verification };
  }

  /** Compute nodes on which the container has processes, by their cgroups: nobody's word is taken for it. */
  async runsOn(container: string): Promise<string[]> {
    const procs = `/sys/fs/cgroup/rankshift/rs-${container.replace('.', '-')}/cgroup.procs`;
    const found = await Promise.all(
      this.testbed.computeNodes.map(async (node) => {
        const { stdout } = await this.testbed.exec(node, ['cat', procs], { allow: 'any' });
        return stdout.trim() === '' ? [] : [node];
      }),
    );
    return found.flat();
  }

  /** @throws RankshiftError E_TIMEOUT with the complaint at the deadline. */
  async until(timeoutMs: number, complaint: string, done: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await done())) {
      if (performance.now() > deadline)
        throw new RankshiftError('E_TIMEOUT', `${complaint} within ${timeoutMs / 1000} s`);
      await sleep(pollMs, undefined, { signal: this.stop });
    }
  }
}
