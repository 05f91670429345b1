import { RankshiftError } from '../errors.ts';
import { pagesProcesses, signalAll } from './processes.ts';

const pauseMs = 20;
const stopMs = 60_000;

/** What sends memory of a container from here; it may outlive the agent that started it (docs/pages.md, "post-copy"). */
const sendersOf = (cgroup: string) => pagesProcesses((command, [of]) => command === 'source' && of === cgroup);

/**
 * Ends what sends memory of a container that runs on here. It ends when it may: never in the middle of arming a process.
 * @throws RankshiftError E_TIMEOUT, retryable.
 */
export async function stopPageSenders(cgroup: string): Promise<void> {
  const deadline = performance.now() + stopMs;
  for (;;) {
    const senders = await sendersOf(cgroup);
    if (senders.length === 0) return;
    // Ignored but where it only sends.
    signalAll(senders, 'SIGTERM');
    if (performance.now() > deadline) {
      throw new RankshiftError('E_TIMEOUT', 'the sender of a container does not end', { retryable: true });
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Waits until the target has all memory of a container, or never will. False where that takes longer. */
export async function untilSent(cgroup: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while ((await sendersOf(cgroup)).length > 0) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return true;
}
