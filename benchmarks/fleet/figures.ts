import type { MigrationRecord } from '../../src/migration/record.ts';
import { quantile } from '../measure/statistics.ts';
import type { RedisFigures } from './redis.ts';

export interface Quantiles {
  median: number;
  p99: number;
  most: number;
}

/** Median time of a move in each state, ms. */
export function phasesOf(records: readonly MigrationRecord[]): Record<string, number> {
  const names = [...new Set(records.flatMap(({ phases }) => phases.map(({ name }) => name)))];
  const times = (name: string) =>
    records.flatMap(({ phases }) => phases.filter((phase) => phase.name === name).map(({ ms }) => ms ?? Number.NaN));
  return Object.fromEntries(names.map((name) => [name, quantiles(times(name))?.median ?? 0]));
}

/** Calls of each command that a move costs, without what a fleet at rest asks meanwhile. */
export function callsPerMove(
  before: RedisFigures,
  idle: RedisFigures,
  after: RedisFigures,
  { seconds, moves, restMs }: { seconds: number; moves: number; restMs: number },
): Record<string, number> {
  const calls = [...after.calls].map(([name, count]): [string, number] => {
    const [first = 0, last = 0] = [before.calls.get(name), idle.calls.get(name)];
    const rest = ((last - first) / (restMs / 1000)) * seconds;
    return [name, Math.round((10 * (count - last - rest)) / moves) / 10];
  });
  return Object.fromEntries(calls.filter(([, count]) => count >= 1).sort((a, b) => b[1] - a[1]));
}

/** Of the values that are numbers; null where there are none. */
export function quantiles(values: number[]): Quantiles | null {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  return { median: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), most: sorted.at(-1) ?? 0 };
}

/** Value -> how often it is there. */
export function counted(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
