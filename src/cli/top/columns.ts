const gap = 2;

/**
 * Rows as columns of equal width, at most `most` characters together: where they are wider the widest columns are cut, a
 * cut cell ends in a tilde.
 */
export function fitColumns(rows: readonly (readonly string[])[], most: number): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(0, ...rows.map((row) => (row[column] ?? '').length)),
  );
  let excess = widths.reduce((sum, width) => sum + width + gap, -gap) - most;
  while (excess > 0) {
    const widest = Math.max(...widths);
    if (widest <= 1) break;
    // Down to the next widest at once: a cell may be long.
    const next = Math.max(1, ...widths.filter((width) => width < widest));
    const cut = Math.min(excess, widest - next);
    widths[widths.indexOf(widest)] = widest - Math.max(1, cut);
    excess -= Math.max(1, cut);
  }
  return rows.map((row) =>
    widths
      .map((width, column) => fitCell(row[column] ?? '', width))
      .join(' '.repeat(gap))
      .trimEnd()
      .slice(0, most),
  );
}

function fitCell(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, Math.max(0, width - 1))}~`;
}
