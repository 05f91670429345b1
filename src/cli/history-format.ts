import { RankshiftError } from '../errors.ts';
import type { HistoryEntry } from '../migration/history.ts';
import { formatBytes, formatMs, formatTime } from './table.ts';

/** `people`: as the other tables write it; `plain`: what a program reads without thought: bytes, milliseconds. */
type Style = 'people' | 'plain';
type Cell = (entry: HistoryEntry, style: Style) => string;

const time =
  (of: (entry: HistoryEntry) => number | null): Cell =>
  (entry) => {
    const at = of(entry);
    // As sacct says it.
    return at === null ? 'Unknown' : formatTime(at);
  };
const duration =
  (of: (entry: HistoryEntry) => number | null): Cell =>
  (entry, style) =>
    style === 'people' ? formatMs(of(entry)) : plain(of(entry));
const bytes =
  (of: (entry: HistoryEntry) => number | null): Cell =>
  (entry, style) => {
    const count = of(entry);
    return style === 'plain' ? plain(count) : count === null ? '-' : formatBytes(count);
  };
const text =
  (of: (entry: HistoryEntry) => string | null): Cell =>
  (entry, style) =>
    of(entry) ?? (style === 'people' ? '-' : '');
const plain = (value: number | null) => (value === null ? '' : String(Math.round(value)));

/** Every field of --format. */
export const fields: Record<string, Cell> = {
  ID: ({ id }) => id,
  JobID: ({ container }) => container,
  User: ({ user }) => user,
  By: ({ by }) => by,
  Group: text(({ group }) => group),
  State: ({ state }) => stateName(state),
  From: text(({ source }) => source),
  To: text(({ target }) => target),
  Strategy: text(({ strategy }) => strategy),
  Submit: time(({ submittedAt }) => submittedAt),
  Start: time(({ startedAt }) => startedAt),
  End: time(({ endedAt }) => endedAt),
  Queued: duration(({ queuedMs }) => queuedMs),
  Total: duration(({ totalMs }) => totalMs),
  Downtime: duration(({ downtimeMs }) => downtimeMs),
  Stall: duration(({ stallMs }) => stallMs),
  Predicted: duration((entry) => entry.predictedDowntimeMs),
  Bytes: bytes((entry) => entry.bytes),
  WireBytes: bytes(({ wireBytes }) => wireBytes),
  Error: text(({ errorCode }) => errorCode),
  Reason: text(({ reason }) => reason),
};

/** States as squeue and sacct write theirs. */
export function stateName(state: string): string {
  return state.toUpperCase().replaceAll('-', '_');
}

export const defaultFormat = 'ID,JobID,User,State,From,To,Strategy,Start,End,Downtime,Total';

export interface Column {
  name: string;
  cell: Cell;
  /** Characters; negative: to the left. Undefined: as wide as its longest cell. */
  width?: number;
}

/** `ID,State%12,Reason%-30`, in any case. @throws RankshiftError E_BAD_INPUT naming the fields. */
export function parseFormat(format: string): Column[] {
  return format.split(',').map((part) => {
    const [, name = '', width] = /^([A-Za-z]+)(?:%(-?[1-9]\d{0,3}))?$/.exec(part) ?? [];
    const found = Object.entries(fields).find(([field]) => field.toLowerCase() === name.toLowerCase());
    if (found === undefined)
      throw new RankshiftError('E_BAD_INPUT', `--format ${part}: fields are ${Object.keys(fields).join(', ')}`, {
        action: 'Name fields with commas between them, a width after % where it is to be another: ID,State%12',
      });
    return { name: found[0], cell: found[1], ...(width === undefined ? {} : { width: Number(width) }) };
  });
}

/** With `|` between the fields and none at the end, as sacct --parsable2. */
export function parsable(columns: readonly Column[], entries: readonly HistoryEntry[], noHeader: boolean): string {
  const rows = entries.map((entry) => columns.map(({ cell }) => cell(entry, 'plain').replace(/[|\n]/g, ' ')));
  return (noHeader ? rows : [columns.map(({ name }) => name), ...rows]).map((row) => row.join('|')).join('\n');
}

/** Columns as wide as told, cut with a `+` as sacct does, else as their longest cell. */
export function historyTable(columns: readonly Column[], entries: readonly HistoryEntry[], noHeader: boolean): string {
  const rows = entries.map((entry) => columns.map(({ cell }) => cell(entry, 'people').replaceAll('\n', ' ')));
  const all = noHeader ? rows : [columns.map(({ name }) => name.toUpperCase()), ...rows];
  const widths = columns.map(({ width }, index) => width ?? -Math.max(0, ...all.map((row) => row[index]?.length ?? 0)));
  const lines = all.map((row) =>
    row
      .map((text, index) => padded(text, widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return lines.join('\n');
}

function padded(text: string, width: number): string {
  const size = Math.abs(width);
  const cut = text.length > size ? `${text.slice(0, size - 1)}+` : text;
  return width < 0 ? cut.padEnd(size) : cut.padStart(size);
}
