import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { cgroupMount, processesOf } from '../../src/container/cgroup.ts';
import { run } from '../../src/process/run.ts';
import { checkoutDir } from '../../src/testbed/paths.ts';

const countSchema = z.object({ writes: z.number(), ns: z.number() });

/** A program that answers each line with a line. */
class Talker {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(file: string, args: readonly string[]) {
    this.child = spawn(file, [...args], { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
    if (this.child.stdout === null) throw new Error('no pipe');
    this.#lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    // What the tracker sends is thrown away.
    (this.child.stdio[3] as Duplex).on('error', () => undefined).resume();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('a program of the benchmark ended');
    return value;
  }

  async ask(line: string): Promise<Record<string, number>> {
    this.child.stdin?.write(`${line}\n`);
    for (;;) {
      const answer = JSON.parse(await this.line()) as Record<string, number>;
      if (!('sentBytes' in answer)) return answer;
    }
  }
}

/** The writer (writer.c) in a cgroup of its own. */
export class Writer {
  readonly cgroup: string;
  readonly #talker: Talker;

  private constructor(cgroup: string, talker: Talker) {
    this.cgroup = cgroup;
    this.#talker = talker;
  }

  static async start(mib: number, pauseNs: number): Promise<Writer> {
    const directory = join(checkoutDir, 'build', 'benchmarks');
    mkdirSync(directory, { recursive: true });
    const program = join(directory, 'writer');
    await run('gcc', [
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-pthread',
      '-o',
      program,
      join(import.meta.dirname, 'writer.c'),
    ]);
    const mount = await cgroupMount();
    if (mount === null) throw new Error('no cgroup2');
    const cgroup = join(mount.point, `rankshift-bench-writer-${process.pid}`);
    mkdirSync(cgroup);
    const script = 'echo $$ > "$1/cgroup.procs"; exec "$2" "$3" "$4"';
    const talker = new Talker('sh', ['-c', script, 'sh', cgroup, program, String(mib), String(pauseNs)]);
    await talker.line();
    return new Writer(cgroup, talker);
  }

  /** Writes per second while something else happens. */
  async rateDuring(work: () => Promise<unknown>): Promise<number> {
    const before = countSchema.parse(await this.#talker.ask(''));
    await work();
    const after = countSchema.parse(await this.#talker.ask(''));
    return ((after.writes - before.writes) / (after.ns - before.ns)) * 1e9;
  }

  async end(): Promise<void> {
    writeFileSync(join(this.cgroup, 'cgroup.kill'), '1');
    while ((await processesOf(this.cgroup)).length > 0) await sleep(5);
    // A zombie that nobody has waited for is not listed and keeps its cgroup.
    for (let left = 1000; ; left -= 1) {
      try {
        return rmdirSync(this.cgroup);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || left === 0) throw error;
        await sleep(5);
      }
    }
  }
}

/** `rankshift-pages source` over a writer, its stream thrown away. */
export class Tracker {
  readonly #talker: Talker;
  longestStopUs = 0;

  private constructor(talker: Talker) {
    this.#talker = talker;
  }

  static async arm({ cgroup }: Writer): Promise<Tracker> {
    const talker = new Talker(join(checkoutDir, 'build', 'bin', 'rankshift-pages'), ['source', cgroup]);
    // As the agent's own children have it.
    setPriority(talker.child.pid ?? 0, constants.priority.PRIORITY_HIGH);
    const tracker = new Tracker(talker);
    await tracker.#ask('arm');
    return tracker;
  }

  /** Protects all pages and looks after so long which were written, over and over. */
  async lookEvery(ms: number, forMs: number): Promise<void> {
    for (const end = performance.now() + forMs; performance.now() < end; ) await this.#ask(`sample ${ms}`);
  }

  /** Rounds as a move makes them, with the sending, one each `ms` or as fast as they go. */
  async roundEvery(ms: number, forMs: number): Promise<void> {
    for (const end = performance.now() + forMs; performance.now() < end; ) {
      const next = performance.now() + ms;
      await this.#ask('round');
      await sleep(Math.max(0, next - performance.now()));
    }
  }

  async disarm(): Promise<void> {
    await this.#ask('disarm');
  }

  async #ask(line: string): Promise<void> {
    const { longestStopUs = 0 } = await this.#talker.ask(line);
    this.longestStopUs = Math.max(this.longestStopUs, longestStopUs);
  }
}
