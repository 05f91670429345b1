export interface GanttBar {
  /** Milliseconds, of one clock for all rows. */
  from: number;
  to: number;
  colour: string;
  /** Shown when a pointer rests on it. */
  title: string;
  /** Of the height of its row, from the top. @defaultValue all of it */
  part?: readonly [number, number];
}

export interface GanttRow {
  label: string;
  bars: readonly GanttBar[];
}

const [left, width, rowHeight, axisHeight, right] = [210, 1040, 24, 28, 50];

/** Rows of bars over one axis of time, as an SVG element. Points are drawn as thin lines. */
export function gantt(rows: readonly GanttRow[]): string {
  const bars = rows.flatMap((row) => row.bars);
  const zero = Math.min(...bars.map(({ from }) => from));
  const span = Math.max(1, Math.max(...bars.map(({ to }) => to)) - zero);
  if (bars.length === 0 || !Number.isFinite(span)) return '<p>nothing was measured</p>';
  const x = (at: number) => left + ((at - zero) / span) * (width - left - right);
  const height = rows.length * rowHeight + axisHeight;
  const lines = ticks(span).map((at) => {
    const where = x(zero + at).toFixed(1);
    return `<line x1="${where}" y1="0" x2="${where}" y2="${height - axisHeight}" stroke="#dddddd"/><text x="${where}" y="${height - 10}" text-anchor="middle">${escapeText(shown(at, span))}</text>`;
  });
  const drawn = rows.map((row, index) => {
    const y = index * rowHeight;
    const label = `<text x="0" y="${y + 16}">${escapeText(row.label)}</text>`;
    return label + row.bars.map((bar) => rectangle(bar, y, x)).join('');
  });
  return `<svg viewBox="0 0 ${width} ${height}" width="100%" role="img" xmlns="http://www.w3.org/2000/svg">${lines.join('')}${drawn.join('')}</svg>`;
}

function rectangle({ from, to, colour, title, part = [0, 1] }: GanttBar, y: number, x: (at: number) => number): string {
  const [top, bottom] = part;
  const inner = rowHeight - 6;
  const place = `x="${x(from).toFixed(1)}" y="${(y + 3 + top * inner).toFixed(1)}"`;
  const size = `width="${Math.max(1.5, x(to) - x(from)).toFixed(1)}" height="${((bottom - top) * inner).toFixed(1)}"`;
  return `<rect ${place} ${size} fill="${escapeText(colour)}"><title>${escapeText(title)}</title></rect>`;
}

/** Four to ten round numbers from 0 to the end, milliseconds. */
function ticks(span: number): number[] {
  const rough = 10 ** Math.floor(Math.log10(span));
  const step = [rough / 5, rough / 2, rough].find((one) => span / one <= 10) ?? rough;
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => index * step);
}

const shown = (at: number, span: number) =>
  span >= 5000 ? `${Number((at / 1000).toFixed(2))} s` : `${Number(at.toFixed(2))} ms`;

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text for HTML and SVG, in content and in quoted attributes. Control characters, which neither may have, become blanks. */
export function escapeText(text: string): string {
  return text.replace(/(?![\t\n\r])\p{Cc}/gu, ' ').replace(/[&<>"']/g, (one) => entities[one] ?? one);
}
