import { outputAnswerSchema, readySchema } from '../agent/messages.ts';
import type { Channel } from '../channel/channel.ts';
import type { Credentials } from '../channel/credentials.ts';
import { openChannel } from '../channel/open-channel.ts';
import { RankshiftError } from '../errors.ts';
import { containerId } from '../migration/container.ts';
import { patiently } from '../patience.ts';
import { readContainer } from '../store/containers.ts';
import type { RunRecord } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';
import { agentAddress } from './node-facts.ts';

const waitMs = 10_000;
const pauseMs = 200;

export type OutputEvent =
  | { type: 'output'; stdout: string; stderr: string }
  | { type: 'exit'; code: number }
  | { type: 'gone' };

/**
 * The output of a run's main program from given offsets on, wherever its container is: after a move the reading goes on
 * at the new node, at the same offsets, since the files moved with the container. Ends with `exit`, or with `gone` where
 * the container is no more.
 */
export async function* streamOutput(
  context: ControllerContext,
  credentials: Credentials,
  { job, run }: Pick<RunRecord, 'job' | 'run'>,
  offsets: { stdout: number; stderr: number },
  signal: AbortSignal,
): AsyncGenerator<OutputEvent> {
  const container = containerId(job, 0);
  const at = { ...offsets };
  while (!signal.aborted) {
    const record = await readContainer(context.redis, container);
    // A job may have one run after another.
    if (record === null || !['', run].includes(record.run)) {
      yield { type: 'gone' };
      return;
    }
    let opened: Channel | null = null;
    try {
      const channel = await openChannel({
        ...(await agentAddress(context, record.owner)),
        credentials,
        timeoutMs: patiently(5000),
      });
      opened = channel;
      await channel.send({ op: 'output', container });
      await channel.next(readySchema, { timeoutMs: patiently(5000) });
      while (!signal.aborted) {
        const request = { op: 'read', stdout: at.stdout, stderr: at.stderr, waitMs };
        const answer = await channel.request(request, outputAnswerSchema, { timeoutMs: waitMs + 10_000 });
        if (answer.exit !== null) {
          yield { type: 'exit', code: answer.exit };
          return;
        }
        const { stdout, stderr } = answer;
        if (stdout === '' && stderr === '') continue;
        at.stdout += Buffer.byteLength(stdout, 'base64');
        at.stderr += Buffer.byteLength(stderr, 'base64');
        yield { type: 'output', stdout, stderr };
      }
    } catch (error) {
      // The container moves, or the agent restarts: both end.
      context.log.debug({ job, error: RankshiftError.from(error).message }, 'output interrupted');
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    } finally {
      opened?.destroy();
    }
  }
}
