import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../api/client.ts';
import { RankshiftError } from '../errors.ts';

const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT'] as const;
type Forwarded = (typeof forwarded)[number];
const pauseMs = 500;

/**
 * Passes signals on to the program of a run, wherever it is. While the controller does not answer, each is tried again;
 * a person who presses Ctrl-C once more meanwhile gets the terminal back.
 */
export function forwardSignals(api: ApiClient, job: number): void {
  const waiting = new Set<Forwarded>();
  for (const signal of forwarded) {
    process.on(signal, () => {
      if (waiting.has(signal)) {
        console.error(`rankshift: the controller does not answer; end the job with: scancel ${job}`);
        process.exit(128 + constants.signals[signal]);
      }
      waiting.add(signal);
      void deliver(api, job, signal).finally(() => waiting.delete(signal));
    });
  }
}

async function deliver(api: ApiClient, job: number, signal: Forwarded): Promise<void> {
  for (let told = false; ; told = true) {
    try {
      await api.post(`/v1/runs/${job}/signal`, { signal });
      return;
    } catch (error) {
      const { code, message } = RankshiftError.from(error);
      // The program has ended meanwhile: its exit code is on the way.
      if (code === 'E_JOB_ENDED' || code === 'E_UNKNOWN_JOB' || code === 'E_STALE') return;
      if (!told) console.error(`rankshift: ${signal} not forwarded yet: ${message}`);
      if (code !== 'E_SERVICE' && code !== 'E_AGENT' && code !== 'E_REDIS') return;
      await sleep(pauseMs);
    }
  }
}
