import type { Channel } from '../channel/channel.ts';
import { containerDir } from '../config.ts';
import { readExit, readOutput } from '../container/output.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentContext } from './context.ts';
import { readLocalContainer } from './files.ts';
import { type OutputAnswer, outputRequestSchema } from './messages.ts';

/** A program that has just written is looked at soon, one that is silent more seldom. */
const pollMs = { least: 25, most: 200 };
/** What is written so soon after an answer goes with the next: each costs several reads and a message. */
const gatherMs = 100;
const idleMs = 120_000;
const chunkBytes = 262_144;

/** Answers reads of a container's output: at once where there is something, else when there is, or after `waitMs`. */
export async function serveOutput(context: AgentContext, channel: Channel, container: string): Promise<void> {
  const directory = containerDir(context.config, container);
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  let answeredAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { stdout, stderr, waitMs } = await channel.next(outputRequestSchema, { timeoutMs: idleMs });
    const deadline = performance.now() + waitMs;
    await sleep(Math.min(answeredAt + gatherMs - performance.now(), waitMs));
    for (let pauseMs = pollMs.least; ; pauseMs = Math.min(1.5 * pauseMs, pollMs.most)) {
      if ((await readLocalContainer(context.config, container)) === null) {
        throw new RankshiftError('E_STALE', `${container} is not on ${context.node}`);
      }
      const answer = await readOnce(directory, stdout, stderr);
      const something = answer.stdout !== '' || answer.stderr !== '' || answer.exit !== null;
      if (something || performance.now() > deadline) {
        await channel.send(answer);
        if (something) answeredAt = performance.now();
        break;
      }
      await sleep(pauseMs);
    }
  }
}

/** The exit code is told only with nothing left to read: it is written after the last output. */
async function readOnce(directory: string, stdoutAt: number, stderrAt: number): Promise<OutputAnswer> {
  const exit = await readExit(directory);
  const [stdout, stderr] = await Promise.all([
    readOutput(directory, 'stdout', stdoutAt, chunkBytes),
    readOutput(directory, 'stderr', stderrAt, chunkBytes),
  ]);
  const nothing = stdout.length === 0 && stderr.length === 0;
  return {
    op: 'output',
    stdout: stdout.toString('base64'),
    stderr: stderr.toString('base64'),
    exit: nothing ? exit : null,
  };
}
