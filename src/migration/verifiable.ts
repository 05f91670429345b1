import type { PlanInput } from './plan.ts';
import type { Reason, Strategy } from './record.ts';
import { mayLeavePages } from './strategy-kind.ts';

/** Which pages a process has is asked by PAGEMAP_SCAN, of Linux 6.7. */
const least = [6, 7] as const;

/** Why the pages of a move cannot be compared before the container runs, where that was asked for. */
export function whyNotVerifiable({ limits, source, target }: PlanInput, strategy: Strategy): Reason[] {
  if (limits.verify !== true) return [];
  const old = [source, target].filter((node) => node !== null).find(({ kernel }) => isOlder(kernel));
  if (old !== undefined) {
    const message = `a move cannot be verified with ${old.name}: its kernel, ${old.kernel}, has no PAGEMAP_SCAN (${least.join('.')})`;
    return [{ code: 'verify', message }];
  }
  if (!mayLeavePages(strategy)) return [];
  const message = `a move by ${strategy} cannot be verified: its pages come after the container runs`;
  return [{ code: 'verify', message }];
}

/** As uname(2) says the release; one that does not begin with numbers counts as new. */
function isOlder(release: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release)?.map(Number) ?? [];
  if (major === undefined || minor === undefined) return false;
  return major < least[0] || (major === least[0] && minor < least[1]);
}
