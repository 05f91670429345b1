import { formatBytes, formatMs, table } from '../cli/table.ts';
import type { MigrationRecord } from '../migration/record.ts';
import type { Drift } from './drift.ts';

const barWidth = 30;

/** What each phase is for, in a few words. */
const purpose: Record<string, string> = {
  queued: 'the request waits for the controller',
  preflight: 'both nodes are checked; the rank computes on',
  preparing: 'the target gets ready; the rank computes on',
  switching: 'freeze, dump, restore, commit; with the downtime',
  finishing: 'the source is cleared; the rank computes',
};

/** The phases of a move as bars on one scale. */
export function phaseBars({ phases, totalMs, state }: MigrationRecord): string {
  const total = totalMs ?? 0;
  if (total <= 0) return '';
  const scale = (ms: number) => Math.round((ms / total) * barWidth);
  let before = 0;
  const rows = phases
    .filter(({ name }) => name !== state)
    .map(({ name, ms }) => {
      const [from, to] = [scale(before), scale(before + (ms ?? 0))];
      before += ms ?? 0;
      const bar = `${' '.repeat(from)}${'#'.repeat(Math.max(1, to - from))}`.padEnd(barWidth + 1);
      return [name, formatMs(ms).padStart(8), bar, purpose[name] ?? ''];
    });
  return table(['PHASE', '    TIME', '', ''], rows);
}

/** The switch told in sentences; times are milliseconds from the freeze. Steps that were not recorded are left out. */
export function switchStory({ result, source, target, totalMs }: MigrationRecord): string {
  if (result === null) return '';
  const at = (name: string) => result.timeline.find((entry) => entry.name === name)?.at;
  const endOf = (name: string) => {
    const entry = result.timeline.find((one) => one.name === name);
    return entry?.ms === undefined ? undefined : entry.at + entry.ms;
  };
  const frozen = at('frozen');
  if (frozen === undefined) return '';
  const { downtimeMs, stallMs, bytes } = result;
  const memory = bytes === null ? 'memory' : `${formatBytes(bytes.pages)} of memory`;
  const since = (time: number | undefined) => (time === undefined ? null : time - frozen);
  const steps: [number | null, string][] = [
    [0, `the rank stops on ${source}; its peers compute on until they need it`],
    [since(endOf('drain')), 'what it had sent has arrived, nothing is left in its TCP queues'],
    [since(endOf('hold')), `its network port on ${source} is held: not a packet in or out`],
    [since(endOf('repoint')), `all nodes of the job send its packets to ${target} from now on`],
    [since(endOf('dump')), `CRIU has written ${memory} straight into the memory of ${target}`],
    [since(endOf('restore')), `restored on ${target}, still standing at the gate`],
    [since(endOf('commit')), `the decision is on disk: ${target} owns the container`],
    [downtimeMs, `downtime: the rank computes again, on ${target}`],
    [stallMs, 'stall: data from its peers has arrived, the job goes on'],
  ];
  const known = steps.filter((step): step is [number, string] => step[0] !== null).sort((a, b) => a[0] - b[0]);
  const lines = known.map(([ms, text]) => `${ms.toFixed(0).padStart(6)} ms  ${text}`);
  return [...lines, `total of the move, from the request to the end of the clean-up: ${formatMs(totalMs)}`].join('\n');
}

/** Clocks: how far apart the nodes are, what the service corrected, what the job saw. */
export function clockStory({ result, source, target }: MigrationRecord, rank: number, drift: Drift | null): string {
  const clock = result?.clock;
  const lines: string[] = [];
  if (clock != null) {
    const apartSeconds = Math.abs(Number(clock.nodeOffsetNs) / 1e9);
    const boundMs = Number(clock.errorBoundNs) / 1e6;
    lines.push(
      `CLOCK_MONOTONIC of ${source} and ${target}: ${apartSeconds.toFixed(0)} s apart, like nodes booted at different times`,
      `corrected on the way, right to within ${boundMs.toFixed(3)} ms`,
    );
  }
  if (drift === null) return [...lines, 'the job has not measured its clocks on both sides of the move'].join('\n');
  const signed = (ms: number) => `${ms <= -0.0005 ? '-' : '+'}${Math.abs(ms).toFixed(3)} ms`;
  return [
    ...lines,
    `MPI_Wtime of rank ${rank} against rank 0, measured by the job (to within ${drift.measuredToMs.toFixed(3)} ms), since its start:`,
    `  before the move ${signed(drift.beforeMs)}, after the move ${signed(drift.afterMs)}`,
  ].join('\n');
}
