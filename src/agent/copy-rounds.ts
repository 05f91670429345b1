import type { SwitchOrder } from '../migration/commands.ts';
import { nextRound } from '../migration/model.ts';
import { dirtyRate, leftBytes } from '../migration/progress.ts';
import type { CopyResult } from '../migration/record.ts';
import type { Tell } from '../pages/page-source.ts';
import type { Timeline } from '../telemetry/timeline.ts';
import type { AgentContext } from './context.ts';
import { forcedRounds } from './forced-rounds.ts';
import { tellProgress } from './tell-progress.ts';

/** Of a freeze that is short enough, what the last bytes may take, ms. */
const enoughMs = 10;

/** What copies a container's memory in rounds while its ranks run: a PageSource, or CRIU itself (criu-rounds.ts). */
export interface RoundSource {
  /** Begins to note writes. */
  arm(): Promise<{ longestStopUs: number }>;
  /** Sends what was written since the round before, or everything; ends when the target has it. Limit in bytes per second. */
  round(
    bandwidth: number | undefined,
    tell: Tell,
  ): Promise<{ bytes: number; wireBytes?: number; ms: number; longestStopUs?: number | undefined }>;
  /** Why there is no room for another round; null where there is. */
  full?(): string | null;
}

/**
 * Sends a container's memory in rounds while its ranks run, until the model says that the next one gains less than it
 * costs. @throws RankshiftError E_LINK.
 */
export async function copyRounds(
  context: AgentContext,
  order: SwitchOrder,
  source: RoundSource,
  timeline: Timeline,
): Promise<CopyResult> {
  const rounds: CopyResult['rounds'] = [];
  const armed = await timeline.span('arm', () => source.arm());
  let longestStopUs = armed.longestStopUs;
  const forced = await forcedRounds(context.config);
  for (;;) {
    const rate = bytesPerSecond(rounds);
    const next = nextRound(rounds, {
      enoughBytes: ((rate ?? 0) * enoughMs) / 1000,
      roundSeconds: order.roundTripMs / 1000,
    });
    const modelled = next.go ? (source.full?.() ?? null) : next.why;
    const why = forced === null ? modelled : rounds.length < forced ? null : `${forced} rounds were told`;
    if (why !== null) {
      const dirty = dirtyRate(rounds);
      return { rounds, ended: why, dirtyBytesPerSecond: dirty, bytesPerSecond: rate, longestStopUs };
    }
    const tell = tellProgress(context, order, {
      phase: 'round',
      round: rounds.length + 1,
      // The first takes everything; what a later one finds is known when it has found it.
      ofBytes: rounds.length === 0 ? order.memoryBytes : leftBytes(rounds, order.dirtyBytesPerSecond),
      bytesPerSecond: rate,
      dirtyBytesPerSecond: dirtyRate(rounds) ?? order.dirtyBytesPerSecond,
    });
    const made = await timeline.span(`round ${rounds.length + 1}`, () =>
      source.round(order.bandwidth ?? undefined, tell),
    );
    rounds.push({ bytes: made.bytes, ms: made.ms, wireBytes: made.wireBytes });
    longestStopUs = Math.max(longestStopUs, made.longestStopUs ?? 0);
  }
}

/**
 * For one that has made its rounds and waits for its freeze: called again and again, it sends what was written meanwhile
 * where the last time is longer ago than `staleMs`, so that the freeze does not. Only where rounds can be made at any
 * time (CRIU's cannot, once the dump was made ready).
 */
export function roundsWhileWaiting(
  order: Pick<SwitchOrder, 'lazy' | 'bandwidth'>,
  source: RoundSource | null,
  result: { copy: CopyResult | null },
  timeline: Timeline,
): (staleMs: number) => Promise<void> {
  let last = performance.now();
  return async (staleMs) => {
    const { copy } = result;
    if (!order.lazy || source === null || copy === null || performance.now() - last < staleMs) return;
    const { bytes, ms, wireBytes } = await timeline.span('round while waiting', () =>
      source.round(order.bandwidth ?? undefined, () => undefined),
    );
    result.copy = { ...copy, rounds: [...copy.rounds, { bytes, ms, wireBytes }] };
    last = performance.now();
  };
}

/** Of the largest round: small ones say more of their fixed cost. */
function bytesPerSecond(rounds: CopyResult['rounds']): number | null {
  const largest = rounds.toSorted((a, b) => b.bytes - a.bytes)[0];
  return largest === undefined || largest.ms === 0 ? null : (largest.bytes / largest.ms) * 1000;
}
