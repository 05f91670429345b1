import type { Redis } from 'ioredis';
import { AgentMetrics } from '../../agent/metrics.ts';
import { parseConfig } from '../../config.ts';
import { ControllerMetrics } from '../../controller/metrics.ts';
import { newMigration, reduce } from '../../migration/machine.ts';
import type { Plan, SwitchResult } from '../../migration/record.ts';

/** Redis with nothing in it, as far as gauges ask. */
const noRedis = { smembers: async () => [], pipeline: () => ({ exec: async () => [] }) } as unknown as Redis;

/** Metrics of a controller and of an agent that have done nothing yet. */
export function sources() {
  const config = parseConfig('StateDir=/nonexistent\nRunDir=/nonexistent', 'test');
  return { controller: new ControllerMetrics(noRedis, () => 2), agent: new AgentMetrics(config) };
}

const plan = { strategy: 'pre-copy', target: 'n2', predicted: { downtimeMs: 200, totalMs: 900 } } as Plan;
/** Of a move that took 300 ms of downtime. */
export const result = {
  ...{ outcome: 'committed', downtimeMs: 300, stallMs: 310, bytes: { pages: 2 ** 30, upper: 5, metadata: 7, wire: 9 } },
  clock: { errorBoundNs: '20000', correctedMs: 250 },
} as SwitchResult;

/** The same move when it began and when it had ended. */
export function completed() {
  const requestedBy = { uid: 0, name: 'root' };
  const queued = newMigration({ id: '1', container: '4.1', job: 4, requestedBy, request: { container: '4.1' } }, 1000);
  const begun = reduce(queued, { type: 'preflight-started', at: 3000, source: 'n1', epoch: 1 });
  const switching = [
    { type: 'planned', at: 3100, plan },
    { type: 'preparing-started', at: 3100 },
    { type: 'switching-started', at: 3200 },
    { type: 'switched', at: 3500, result },
    { type: 'finished', at: 4000 },
  ] as const;
  return { begun, ended: switching.reduce(reduce, begun) };
}
