import { readStats } from '../checkpoint/images/stats.ts';
import type { CopyResult, SwitchResult } from '../migration/record.ts';
import { round, toMs } from '../telemetry/timeline.ts';
import type { SwitchClocks } from './clocks.ts';
import type { ControlLink } from './control-link.ts';
import type { SentPages } from './send-pages.ts';

/** How long the target may take from its commit to the running container. */
const runningDeadlineMs = 60_000;

export async function addSourceStats(result: SwitchResult, workDir: string): Promise<void> {
  // The container was frozen before CRIU came: what CRIU takes for the time of the freeze is none.
  const { frozenUs: _, ...dump } = await readStats(workDir).catch((): Record<string, number> => ({}));
  result.criu = { dump, restore: result.criu?.restore ?? {} };
}

/**
 * Downtime and stall out of both nodes' clocks: the target's times are brought to the source's clock by the offset of
 * CLOCK_REALTIME measured before the freeze. Where the target's word does not come, they stay unknown.
 */
export async function addTargetView(
  result: SwitchResult,
  link: ControlLink | null,
  frozenNs: bigint | null,
  clocks: SwitchClocks | null,
): Promise<void> {
  if (link === null || frozenNs === null || clocks === null) return;
  const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), runningDeadlineMs).unref());
  const view = await Promise.race([link.running.catch(() => null), late]);
  if (view === null) return;
  const sinceFrozen = (at: string) => round(toMs(BigInt(at) - clocks.realtime.offsetNs - frozenNs));
  result.downtimeMs = sinceFrozen(view.runningAtNs);
  result.stallMs = view.firstDataAtNs === null ? null : Math.max(result.downtimeMs, sinceFrozen(view.firstDataAtNs));
  result.criu = { dump: result.criu?.dump ?? {}, restore: view.criu };
  result.verified = view.verified;
  const shift = toMs(clocks.realtime.offsetNs);
  result.timeline = view.timeline.map((entry) => ({ ...entry, at: entry.at - shift }));
}

/** What the rounds and the freeze sent together. */
export function sumOfPages(frozen: SentPages, copy: CopyResult | null): { pages: number; wire: number | null } {
  let { bytes: pages, wireBytes: wire } = frozen;
  for (const round of copy?.rounds ?? []) {
    pages += round.bytes;
    if (wire !== null) wire += round.wireBytes ?? round.bytes;
  }
  return { pages, wire };
}
