import { constants, getPriority, setPriority } from 'node:os';

/** Nice value of the agent and of what it starts inside a freeze (nice(2)). */
const raised = constants.priority.PRIORITY_HIGH;

/**
 * Puts this process before the ranks of its node: they often spin while they wait, and inside a freeze each piece of
 * memory passes through several processes, every one of which would wait for a time slice. The agent hardly runs
 * otherwise. Without the right to it (CAP_SYS_NICE) it stays as it is.
 */
export function raisePriority(refused: (error: Error) => void): void {
  try {
    setPriority(raised);
  } catch (error) {
    refused(error as Error);
  }
}

/** Starts something at normal priority. Synchronous: a child takes the priority of the moment of its fork. */
export function atNormalPriority<T>(start: () => T): T {
  const now = getPriority();
  if (now >= 0) return start();
  setPriority(constants.priority.PRIORITY_NORMAL);
  try {
    return start();
  } finally {
    setPriority(now);
  }
}
