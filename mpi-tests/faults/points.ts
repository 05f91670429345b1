import type { Strategy } from '../../src/migration/record.ts';
import { hasRounds } from '../../src/migration/strategy-kind.ts';

/** A place at which a process can be stopped in the middle of a move (src/process/breakpoint.ts). */
export interface Point {
  name: string;
  at: 'source' | 'target' | 'controller';
  /** The commit is durable: only the target may run the container from here on. */
  committed: boolean;
}

const before = [
  'controller-preflight',
  'controller-preparing',
  'target-preparing',
  'target-prepared',
  'controller-copying',
  'source-connect',
  'source-copying',
  'source-copied',
  'source-before-freeze',
  'source-frozen',
  'source-held',
  'source-dumped',
  'source-sent',
  'target-received',
  'target-armed',
  'target-gate',
];
const after = [
  'target-committed',
  'target-opened',
  'target-recorded',
  'target-running',
  'source-committed',
  'source-removing',
  'controller-switched',
  'controller-finishing',
  'target-finishing',
  'source-finishing',
  'controller-completed',
];

/** Every point of a move, in the order in which a move comes to them. */
export const points: readonly Point[] = [
  ...before.map((name) => ({ name, at: placeOf(name), committed: false })),
  ...after.map((name) => ({ name, at: placeOf(name), committed: true })),
];

/** Points that only a part of the way back, or an agent that clears up, comes to. */
const onTheWayBack = ['source-resuming', 'target-clearing'];
const clearingUp = ['target-resolving'];
/** Where nothing is copied before the freeze, the switch begins at once; with rounds it is told of after its commit. */
const withoutRounds = ['controller-switching'];

const others: readonly Point[] = [
  ...[...onTheWayBack, ...withoutRounds].map((name) => ({ name, at: placeOf(name), committed: false })),
  ...clearingUp.map((name) => ({ name, at: placeOf(name), committed: true })),
];

/** Only a move with rounds comes to these. */
const ofRounds = ['controller-copying', 'source-copying', 'source-copied'];

/** Whether a move with this strategy comes to the point. */
export function isOnTheWay({ name }: Point, strategy: Strategy): boolean {
  return hasRounds(strategy) ? !withoutRounds.includes(name) : !ofRounds.includes(name);
}

export function point(name: string): Point {
  const found = [...points, ...others].find((one) => one.name === name);
  if (found === undefined) throw new Error(`no point ${name}`);
  return found;
}

function placeOf(name: string): Point['at'] {
  return name.slice(0, name.indexOf('-')) as Point['at'];
}
