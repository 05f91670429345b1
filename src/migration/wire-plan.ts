import type { PlanInput } from './plan.ts';
import type { Plan } from './record.ts';
import { chooseWire } from './wire.ts';

/** Bytes of pages per second, where limits are bytes on the wire. */
export interface PageRates {
  /** Most of rounds, and of the freeze; null for no limit. */
  rounds: number | null;
  freeze: number | null;
}

/** How the memory goes over the link, and the plan's facts as the model wants them: in bytes of pages. */
export function overWire(input: PlanInput): { facts: PlanInput & { rates: PageRates }; wire: Plan['wire'] } {
  const { link, limits, wire } = input;
  const given = [limits.bandwidth, wire?.nodeBandwidth].filter((limit) => limit != null);
  const limitBytesPerSecond = given.length === 0 ? null : Math.min(...given);
  const { ratio, ...chosen } = chooseWire({
    link,
    packings: wire?.packings ?? null,
    limitBytesPerSecond,
    wanted: { compression: wire?.compression ?? 'none', streams: wire?.streams ?? 1 },
  });
  const rounds = limitBytesPerSecond === null ? null : limitBytesPerSecond * ratio;
  return {
    facts: {
      ...input,
      link: link === null ? null : { ...link, bytesPerSecond: chosen.bytesPerSecond ?? link.bytesPerSecond },
      rates: { rounds, freeze: wire?.freezeLimited === true ? rounds : null },
    },
    wire: chosen,
  };
}
