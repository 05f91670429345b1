import { setTimeout as sleep } from 'node:timers/promises';
import { cutLink, healLink } from '../../src/testbed/index.ts';
import type { Cluster } from '../support/cluster.ts';
import { holdService, killService, releaseService, type ServiceName, servicePid } from '../support/service.ts';
import { until } from '../support/until.ts';

/** Nodes that have a part in one move. */
export interface Parts {
  source: string;
  target: string;
  peer: string;
}

export interface Fault {
  name: string;
  /** What happens to migration `id`; returns how it is undone, which happens `healMs` later. */
  strike(cluster: Cluster, parts: Parts, id: string): Promise<(() => Promise<void>) | undefined>;
  /** How long it lasts. */
  healMs: number;
  /** How long the process at the breakpoint is kept there after the strike. */
  keepMs: number;
  /** Pages that a post-copy left on the source cannot come while it lasts. */
  cutsPages?: true;
}

function killed(name: string, node: (parts: Parts) => string, service: ServiceName): Fault {
  return {
    name,
    healMs: 0,
    keepMs: 0,
    strike: async (cluster, parts) => {
      await killService(cluster, node(parts), service);
      return undefined;
    },
  };
}

/** As systemctl(1) would: the service may have to end something first, so its end is not waited for. */
function stopped(name: string, node: (parts: Parts) => string, service: ServiceName): Fault {
  return {
    name,
    healMs: 0,
    keepMs: 500,
    strike: async (cluster, parts) => {
      const pid = await until(`${service} runs on ${node(parts)}`, () => servicePid(cluster, node(parts), service));
      await cluster.output(node(parts), ['kill', '-TERM', String(pid)]);
      return undefined;
    },
  };
}

/** Redis stays away long enough for every wait for it to be felt; its data come back from its append-only file. */
const redisAwayMs = 2500;
/** Longer than the channels take to notice (src/channel/liveness.ts, `deadMs`). */
const linkCutMs = 4500;

export const faults = {
  source: killed('source agent killed', ({ source }) => source, 'agent'),
  target: killed('target agent killed', ({ target }) => target, 'agent'),
  peer: killed("peer's agent killed", ({ peer }) => peer, 'agent'),
  controller: killed('controller killed', () => 'ctl', 'controller'),
  /** What it stands before goes on only when the source has settled. */
  sourceLong: { ...killed('source agent killed, and settled first', ({ source }) => source, 'agent'), keepMs: 4000 },
  redis: {
    name: 'Redis killed',
    healMs: redisAwayMs,
    keepMs: 0,
    strike: async (cluster) => {
      await holdService(cluster, 'ctl', 'redis');
      return () => releaseService(cluster, 'ctl', 'redis');
    },
  },
  link: {
    name: 'link cut',
    cutsPages: true,
    healMs: linkCutMs,
    keepMs: 0,
    strike: async ({ testbed }, { source, target }) => {
      await cutLink(testbed.state, source, target);
      return () => healLink(testbed.state, source, target);
    },
  },
  linkLong: {
    name: 'link cut, and noticed first',
    cutsPages: true,
    healMs: linkCutMs,
    keepMs: linkCutMs - 500,
    strike: async ({ testbed }, { source, target }) => {
      await cutLink(testbed.state, source, target);
      return () => healLink(testbed.state, source, target);
    },
  },
  sourceStopped: stopped('source agent told to stop', ({ source }) => source, 'agent'),
  targetStopped: stopped('target agent told to stop', ({ target }) => target, 'agent'),
  controllerStopped: stopped('controller told to stop', () => 'ctl', 'controller'),
} as const satisfies Record<string, Fault>;

/** Several at once. */
export function together(...all: readonly Fault[]): Fault {
  return {
    name: all.map(({ name }) => name).join(', '),
    healMs: Math.max(...all.map(({ healMs }) => healMs)),
    keepMs: Math.max(...all.map(({ keepMs }) => keepMs)),
    ...(all.some(({ cutsPages }) => cutsPages === true) ? { cutsPages: true as const } : {}),
    strike: async (cluster, parts, id) => {
      const undos = await Promise.all(all.map((fault) => fault.strike(cluster, parts, id)));
      return async () => {
        for (const undo of undos) await undo?.();
      };
    },
  };
}

/** Lets a fault last as long as it should. */
export async function heal(fault: Fault, undo: (() => Promise<void>) | undefined, struckAt: number): Promise<void> {
  if (undo === undefined) return;
  await sleep(Math.max(0, fault.healMs - (performance.now() - struckAt)));
  await undo();
}
