import { type CostEstimate, estimateCost } from './estimate.ts';
import { converges, lambda, type MoveFacts, predict, roundsWorthIt, worthFreezingMs } from './model.ts';
import type { PlanInput } from './plan.ts';
import type { Plan, Reason, Strategy } from './record.ts';
import { hasRounds, mayLeavePages } from './strategy-kind.ts';
import { chooseTracking, type TrackingChoice } from './tracking.ts';
import type { PageRates } from './wire-plan.ts';

/** Of a round, besides its bytes and a round trip: a scan of every mapping, ms. */
const roundMs = 5;
/** The same of a round that CRIU makes: it starts, looks at every process, puts its parasites in and out, ms. */
const criuRoundMs = 400;
/** Downtime that is not copying where no move was measured yet: CRIU's fixed cost on either side, ms. */
const usualFixedMs = 250;

export interface Way {
  strategy: Strategy;
  why: string;
  lazy: boolean;
  tracking: Plan['tracking'];
  trackingReason: string;
  predicted: Plan['predicted'];
  reasons: Reason[];
}

/** How a move is done: as asked for, else by what the model predicts. */
export function chooseStrategy(input: PlanInput & { rates: PageRates }): Way {
  const { source, target, strategy } = input;
  const tracker = chooseTracking(source, target);
  const { tracking, lacking } = tracker;
  const lazy = tracking === 'wp-async';
  const byCriu = tracking === 'soft-dirty';
  const factsFor = (chosen: Strategy) => factsOf(input, lazy, byCriu ? criuRoundMs : roundMs, chosen);
  const facts = factsFor('pre-copy');
  const rounds = facts === null || tracking === null ? 0 : roundsWorthIt(facts);
  const way = (chosen: Strategy, why: string, reasons: Reason[] = []): Way => ({
    strategy: chosen,
    why,
    lazy,
    tracking,
    trackingReason: tracker.why,
    predicted: predicted(input, factsFor(chosen), costOf(input, lazy, chosen), chosen, rounds),
    reasons,
  });
  if (strategy !== 'auto') {
    const reasons = whyNot(input, strategy, tracker);
    return reasons.length > 0
      ? way('stop-and-copy', `${strategy} is not possible`, reasons)
      : way(strategy, 'as asked for');
  }
  if (lacking !== null && !byCriu) return way('stop-and-copy', `the kernel of ${lacking.name} cannot track writes`);
  if (facts === null) return way('pre-copy', 'link and writes were not measured');
  const { bandwidth, maxDowntimeMs } = input.limits;
  // Whoever limits the rounds wants rounds.
  if (bandwidth !== undefined) return way('pre-copy', 'a bandwidth was given for the rounds');
  const mayLeave = input.postCopy === 'auto' && lazy;
  if (!converges(facts)) {
    const written = `the ranks write ${lambda(facts).toFixed(1)} times as much as the link carries`;
    const why = lambda(facts) >= 1 ? written : 'rounds cost more than the memory';
    // One round for what is written seldom; the rest would make the freeze as long as the link is slow.
    return mayLeave ? way('hybrid', why) : way('stop-and-copy', why);
  }
  const all = predict(facts, rounds);
  if (mayLeave && maxDowntimeMs !== undefined && all.downtimeMs > maxDowntimeMs) {
    return way('hybrid', `${rounds} rounds leave too much for ${maxDowntimeMs} ms`);
  }
  if (rounds === 0) return way('stop-and-copy', 'a round costs more than it gains');
  const left = `${rounds} round${rounds === 1 ? ' leaves' : 's leave'} ${Math.ceil(all.leftBytes / 1024)} KiB for the freeze`;
  return way('pre-copy', byCriu ? `${left} (CRIU pre-dump)` : left);
}

/** Why a strategy that was asked for cannot be taken: kernel, or policy. */
function whyNot({ postCopy }: PlanInput, strategy: Strategy, { tracking, lacking }: TrackingChoice): Reason[] {
  const byCriu = strategy === 'pre-copy' && tracking === 'soft-dirty';
  const possible = lacking === null || strategy === 'stop-and-copy' || byCriu;
  if (!possible) {
    const message = `the kernel of ${lacking.name} cannot track writes (rankshift doctor says what is missing)`;
    return [{ code: `no-${strategy}`, message }];
  }
  if (mayLeavePages(strategy) && postCopy === 'never') {
    const message = `PostCopy=never in the configuration forbids ${strategy}; pre-copy leaves nothing behind`;
    return [{ code: `no-${strategy}`, message }];
  }
  return [];
}

/** What earlier moves say of one like this. */
function costOf({ costs, source, target, link }: PlanInput, lazy: boolean, strategy: Strategy): CostEstimate | null {
  const probedBytesPerSecond = link?.bytesPerSecond ?? null;
  return estimateCost(costs, { strategy, lazy, source: source.name, target: target?.name ?? '', probedBytesPerSecond });
}

/** What the model works with; null where link or writes were not measured. */
function factsOf(
  input: PlanInput & { rates: PageRates },
  lazy: boolean,
  ownMs: number,
  strategy: Strategy,
): MoveFacts | null {
  const { sourceFacts, link, rates } = input;
  if (link === null || sourceFacts === null || sourceFacts.dirtyBytesPerSecond === null) return null;
  const cost = costOf(input, lazy, strategy);
  const rate = link.bytesPerSecond * (cost?.rateFactor ?? 1);
  return {
    memoryBytes: sourceFacts.memoryBytes,
    dirtyBytesPerSecond: sourceFacts.dirtyBytesPerSecond,
    bytesPerSecond: Math.min(rate, rates.rounds ?? rate),
    freezeBytesPerSecond: Math.min(rate, rates.freeze ?? rate),
    roundSeconds: (link.roundTripMs + ownMs) / 1000,
    fixedDowntimeMs: cost?.fixedMs ?? usualFixedMs,
    overlapMs: cost?.overlapMs ?? 0,
  };
}

/** Of a post-copy, what a freeze costs without any page; of a hybrid at most that, and all its rounds. */
function predicted(
  { link, sourceFacts }: PlanInput,
  facts: MoveFacts | null,
  cost: CostEstimate | null,
  strategy: Strategy,
  rounds: number,
): Plan['predicted'] {
  if (facts === null || cost === null || link === null || sourceFacts === null) return null;
  const made = hasRounds(strategy) ? Math.max(1, rounds) : 0;
  const { downtimeMs, totalMs, leftBytes } = predict(facts, made);
  const around = 12 * link.roundTripMs + cost.aroundMs + cost.aroundMsPerByte * sourceFacts.memoryBytes;
  const whole = { totalMs: Math.round(totalMs + around), copyMs: Math.round(totalMs - downtimeMs) };
  if (!mayLeavePages(strategy)) return { downtimeMs: Math.round(downtimeMs), ...whole };
  const freezeRate = facts.freezeBytesPerSecond ?? facts.bytesPerSecond;
  const without = facts.fixedDowntimeMs + facts.roundSeconds * 1000;
  const fits = (leftBytes / freezeRate) * 1000 <= worthFreezingMs;
  return { downtimeMs: Math.round(fits ? downtimeMs : without), ...whole };
}
