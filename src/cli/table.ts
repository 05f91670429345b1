/** Columns padded to their longest cell, in the manner of squeue; no line ends in blanks. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  { noHeader = false } = {},
): string {
  const all = noHeader ? rows : [header, ...rows];
  const widths = header.map((_, column) => Math.max(0, ...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function formatMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '-';
  return ms < 10 ? `${ms.toFixed(2)} ms` : ms < 10_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Local time as squeue and sacct write it. */
export function formatTime(epochMs: number): string {
  const instant = Temporal.Instant.fromEpochMilliseconds(Math.trunc(epochMs));
  return instant.toZonedDateTimeISO(Temporal.Now.timeZoneId()).toPlainDateTime().toString({ smallestUnit: 'second' });
}
