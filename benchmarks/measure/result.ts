import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';
import type { Plot } from './plot.ts';

/** What a benchmark hands back: its verdict and all that it measured. */
export interface Measured {
  /** One line for each target: what was wanted, what was measured. */
  targets: { what: string; wanted: string; measured: string; met: boolean }[];
  /** What a reader has to know about how it was measured. */
  notes: string[];
  data: Record<string, unknown>;
  /** Drawn beside the numbers. */
  plot?: Plot;
}

export interface Result extends Omit<Measured, 'plot'> {
  version: 1;
  benchmark: string;
  measuredAt: string;
  seconds: number;
  quick: boolean;
  machine: Machine;
  /** Load average of the machine when it started: other work slows everything down. */
  loadBefore: number;
  versions: Record<string, string>;
}

/** Writes benchmarks/results/NAME.json; a quick run goes beside it and is not kept in git. */
export function writeResult(result: Result): string {
  const directory = join(import.meta.dirname, '..', 'results');
  mkdirSync(directory, { recursive: true });
  const name = `${result.benchmark}${result.quick ? '.quick' : ''}.json`;
  writeFileSync(join(directory, name), `${JSON.stringify(result, null, 2)}\n`);
  return join('benchmarks', 'results', name);
}
