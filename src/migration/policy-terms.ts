import type { PlanInput } from './plan.ts';
import type { Decision, Policy } from './policy.ts';
import type { SettingName } from './policy-settings.ts';
import { describeWindow, nextOpening, parseWindows, type Window } from './policy-windows.ts';
import type { MigrationRequest, Reason, Strategy } from './record.ts';
import { chooseStrategy, type Way } from './strategy.ts';
import type { PageRates } from './wire-plan.ts';

/** What policy, user and request together make of one move. */
export interface Terms {
  /** Why it may not be done at all. */
  reasons: Reason[];
  /** When it may begin, Unix time in milliseconds, and why not before; null: now. */
  notBefore: { at: number; why: string } | null;
  strategies: readonly Strategy[] | null;
  limits: PlanInput['limits'];
  gang: boolean | null;
}

/** The terms of a move at a moment. */
export function termsOf(policy: Policy, request: MigrationRequest, nowMs: number, timeZone: string): Terms {
  const { move, strategies, maxDowntimeMs, bandwidth, gang } = policy.settings;
  const by = (name: SettingName) => policy.decisions.find(({ setting }) => setting === name) as Decision;
  const reasons: Reason[] = [];
  if (move === 'never')
    reasons.push({ code: 'policy-never', message: `${request.container} is not to be moved: ${source(by('move'))}` });
  const asked = request.strategy ?? 'auto';
  if (asked !== 'auto' && strategies !== null && !strategies.includes(asked)) {
    const message = `${asked} is not among the strategies allowed (${strategies.join(', ')}): ${source(by('strategies'))}`;
    reasons.push({ code: 'policy-strategy', message });
  }
  const opening = beginning(policy, request, nowMs, timeZone, by('windows'));
  if ('never' in opening) reasons.push({ code: 'policy-window', message: opening.never });
  return {
    reasons,
    notBefore: 'never' in opening || opening.at <= nowMs ? null : opening,
    strategies,
    limits: {
      ...limit('bandwidth', least(request.bandwidth, bandwidth)),
      ...(request.verify === undefined ? {} : { verify: request.verify }),
      ...downtimeLimit(request, maxDowntimeMs, source(by('maxDowntimeMs'))),
    },
    gang,
  };
}

function source({ by, because }: Decision): string {
  return because === '' || by === 'default' ? by : `${by} (${because})`;
}

/** The first moment that lies in the windows of the policy, of the user and of the request. */
function beginning(
  { settings, userWindows }: Policy,
  request: MigrationRequest,
  nowMs: number,
  timeZone: string,
  decision: Decision,
): { at: number; why: string } | { never: string } {
  const own = request.window === undefined ? null : parseWindows(request.window);
  const lists = [settings.windows, userWindows, own?.ok === true ? own.value : null].filter((list) => list !== null);
  const earliest = Math.max(nowMs, request.notBefore ?? nowMs);
  const opening = lists.length === 0 ? earliest : nextOpening(lists, earliest, timeZone);
  const text = (windows: readonly Window[]) => windows.map(describeWindow).join(',');
  const named = [
    ...(settings.windows === null && userWindows === null ? [] : [`${decision.value} (${decision.by})`]),
    ...(own?.ok === true ? [`${text(own.value)} (--window)`] : []),
  ].join(' and ');
  if (opening === null) return { never: `no moment lies in its window ${named}` };
  const local = Temporal.Instant.fromEpochMilliseconds(opening).toZonedDateTimeISO(timeZone).toPlainDateTime();
  const why = named === '' ? '--not-before' : `its window ${named}`;
  return { at: opening, why: `${why}: begins ${local.toString({ smallestUnit: 'second' })}` };
}

/** A policy's limit is kept also with --force, which is about the limit that came with it. */
function downtimeLimit(
  { maxDowntimeMs, force }: MigrationRequest,
  allowedMs: number | null,
  by: string,
): Partial<PlanInput['limits']> {
  if (allowedMs === null)
    return { ...limit('maxDowntimeMs', maxDowntimeMs ?? null), ...(force === undefined ? {} : { force }) };
  if (maxDowntimeMs !== undefined && maxDowntimeMs < allowedMs && force !== true) return { maxDowntimeMs };
  return { maxDowntimeMs: allowedMs, maxDowntimeBy: by };
}

function least(one: number | undefined, other: number | null): number | null {
  return one === undefined ? other : other === null ? one : Math.min(one, other);
}

function limit<K extends string>(key: K, value: number | null): { [P in K]?: number } {
  return value === null ? {} : ({ [key]: value } as { [P in K]: number });
}

/** Where the model's choice is not allowed: what leaves nothing behind first. */
const preferred: readonly Strategy[] = ['pre-copy', 'stop-and-copy', 'hybrid', 'post-copy'];

/** As chooseStrategy, among those that are allowed. */
export function chooseAllowed(input: PlanInput & { rates: PageRates }): Way {
  const free = chooseStrategy(input);
  const allowed = input.allowed ?? null;
  if (input.strategy !== 'auto' || allowed === null || allowed.includes(free.strategy)) return free;
  const ways = preferred
    .filter((strategy) => allowed.includes(strategy))
    .map((strategy) => chooseStrategy({ ...input, strategy }));
  const way = ways.find(({ reasons }) => reasons.length === 0);
  if (way !== undefined) return { ...way, why: `the policy does not allow ${free.strategy}: ${free.why}` };
  const reasons = ways.flatMap((one) => one.reasons);
  const message = `none of the strategies that the policy allows (${allowed.join(', ')}) is possible`;
  return { ...free, reasons: [{ code: 'policy-strategy', message }, ...reasons] };
}
