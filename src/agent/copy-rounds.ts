import { RankshiftError } from '../errors.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import { nextRound } from '../migration/model.ts';
import type { CopyResult } from '../migration/record.ts';
import { within } from '../store/connection.ts';
import { switchIsOpen } from '../store/containers.ts';
import { writeProgress } from '../store/progress.ts';
import type { Timeline } from '../telemetry/timeline.ts';
import type { AgentContext } from './context.ts';

/** How often it is looked whether the move was called off, and how far it is. */
const lookMs = 500;
const questionMs = 2000;
/** Of a freeze that is short enough, what the last bytes may take, ms. */
const enoughMs = 10;

/** What copies a container's memory in rounds while its ranks run: a PageSource, or CRIU itself (criu-rounds.ts). */
export interface RoundSource {
  /** Begins to note writes. */
  arm(): Promise<{ longestStopUs: number }>;
  /** Sends what was written since the round before, or everything; ends when the target has it. Limit in bytes per second. */
  round(
    bandwidth: number | undefined,
    tell: (sentBytes: number) => void,
  ): Promise<{ bytes: number; ms: number; longestStopUs?: number | undefined }>;
  /** Why there is no room for another round; null where there is. */
  full?(): string | null;
}

/**
 * Sends a container's memory in rounds while its ranks run, until the model says that the next one gains less than it
 * costs. @throws RankshiftError E_CANCELLED where the switch was closed meanwhile; E_LINK.
 */
export async function copyRounds(
  context: AgentContext,
  order: SwitchOrder,
  source: RoundSource,
  timeline: Timeline,
): Promise<CopyResult> {
  const watch = new AbortController();
  const calledOff = watchForEnd(context, order, watch.signal);
  try {
    return await Promise.race([makeRounds(context, order, source, timeline), calledOff]);
  } finally {
    watch.abort();
  }
}

async function makeRounds(
  { redis }: AgentContext,
  order: SwitchOrder,
  source: RoundSource,
  timeline: Timeline,
): Promise<CopyResult> {
  const rounds: CopyResult['rounds'] = [];
  const armed = await timeline.span('arm', () => source.arm());
  let longestStopUs = armed.longestStopUs;
  for (;;) {
    const rate = bytesPerSecond(rounds);
    const next = nextRound(rounds, {
      enoughBytes: ((rate ?? 0) * enoughMs) / 1000,
      roundSeconds: order.roundTripMs / 1000,
    });
    const why = next.go ? (source.full?.() ?? null) : next.why;
    if (why !== null) {
      const dirty = dirtyRate(rounds);
      return { rounds, ended: why, dirtyBytesPerSecond: dirty, bytesPerSecond: rate, longestStopUs };
    }
    const since = Date.now();
    const tell = (sentBytes: number) => {
      const progress = {
        round: rounds.length + 1,
        sentBytes,
        // The first takes everything; what a later one finds is known when it has found it.
        ofBytes: rounds.length === 0 ? order.memoryBytes : null,
        bytesPerSecond: rate,
        at: Date.now(),
        since,
      };
      void within(questionMs, writeProgress(redis, order.migration, progress)).catch(() => undefined);
    };
    const made = await timeline.span(`round ${rounds.length + 1}`, () =>
      source.round(order.bandwidth ?? undefined, tell),
    );
    rounds.push({ bytes: made.bytes, ms: made.ms });
    longestStopUs = Math.max(longestStopUs, made.longestStopUs ?? 0);
  }
}

/** Of the largest round: small ones say more of their fixed cost. */
function bytesPerSecond(rounds: CopyResult['rounds']): number | null {
  const largest = rounds.toSorted((a, b) => b.bytes - a.bytes)[0];
  return largest === undefined || largest.ms === 0 ? null : (largest.bytes / largest.ms) * 1000;
}

/** Of the last round: what it sent was written while the one before went. */
function dirtyRate(rounds: CopyResult['rounds']): number | null {
  const [before, last] = [rounds.at(-2), rounds.at(-1)];
  return before === undefined || last === undefined || before.ms === 0 ? null : (last.bytes / before.ms) * 1000;
}

/** Rejects when the commit record is not open any more. While Redis does not answer, copying goes on. */
async function watchForEnd({ redis }: AgentContext, order: SwitchOrder, signal: AbortSignal): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, lookMs).unref());
    if (signal.aborted) return await new Promise<never>(() => undefined);
    const open = await within(questionMs, switchIsOpen(redis, order.container, order.migration)).catch(() => true);
    if (!open) throw new RankshiftError('E_CANCELLED', `the switch of ${order.container} was closed`);
  }
}
