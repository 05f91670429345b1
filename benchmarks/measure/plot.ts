import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as echarts from 'echarts';

/** A value at a place: a number, or the name of a category (`bars`). */
export interface Point {
  x: number | string;
  y: number;
  /** Ends of a whisker around y, for example the smallest and the largest measured. */
  low?: number;
  high?: number;
}

export interface Series {
  name: string;
  points: readonly Point[];
}

export interface Axis {
  /** What it is and in which unit: `downtime, ms`. */
  label: string;
  /** Logarithmic; values must be above zero. */
  log?: boolean;
  /** How a value is written at the axis, where the number itself will not do. */
  format?: (value: number) => string;
}

/** One system of axes. */
export interface Panel {
  title?: string;
  /**
   * `lines`: points joined in the order given. `points`: not joined. `bars`: side by side for each category; `stacked`:
   * on top of each other.
   */
  kind: 'lines' | 'points' | 'bars' | 'stacked';
  x: Axis;
  y: Axis;
  series: readonly Series[];
  /** Levels of y that are to be kept (or were compared with): dashed lines with their names. */
  limits?: readonly { name: string; y: number }[];
}

/** The picture of one benchmark: a title and one panel or several beside each other. */
export interface Plot {
  title: string;
  panels: readonly Panel[];
}

const panelWidth = 480;
const panelHeight = 300;
const margin = { left: 72, right: 24, top: 84, bottom: 56 };
/** Told apart by colour-blind eyes too (Okabe and Ito 2008). */
const colours = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#999999'];

/** Draws a plot as SVG text. Series of the same name have one colour and one place in the legend, in all panels. */
export function drawPlot(plot: Plot): string {
  const { panels, title } = plot;
  const names = [...new Set(panels.flatMap(({ series }) => series.map(({ name }) => name)))];
  const width = panels.length * panelWidth;
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width,
    height: margin.top + panelHeight + margin.bottom,
  });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'sans-serif' },
    title: [
      { text: title, left: 16, top: 8, textStyle: { fontSize: 15 } },
      ...panels.map(({ title: text = '' }, index) => ({
        text,
        left: index * panelWidth + margin.left,
        top: margin.top - 26,
        textStyle: { fontSize: 12, fontWeight: 'normal' as const },
      })),
    ],
    legend: { data: names, left: 16, top: 30, itemWidth: 16, itemHeight: 9, textStyle: { fontSize: 11 } },
    grid: panels.map((_panel, index) => ({
      left: index * panelWidth + margin.left,
      top: margin.top,
      width: panelWidth - margin.left - margin.right,
      height: panelHeight,
    })),
    xAxis: panels.map((panel, gridIndex) => ({ gridIndex, ...xAxis(panel) })),
    yAxis: panels.map(({ y }, gridIndex) => ({
      gridIndex,
      ...valueAxis(y),
      nameGap: 50,
      nameRotate: 90,
    })),
    series: panels.flatMap((panel, index) => panel.series.flatMap((series) => drawn(panel, series, index, names))),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** Writes benchmarks/results/NAME.svg; the one of a quick run goes beside it and is not kept in git. */
export function writePlot(name: string, plot: Plot): string {
  const directory = join(import.meta.dirname, '..', 'results');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.svg`), `${drawPlot(plot)}\n`);
  return join('benchmarks', 'results', `${name}.svg`);
}

function xAxis({ kind, x, series }: Panel) {
  if (kind === 'lines' || kind === 'points') return { ...valueAxis(x), nameGap: 28 };
  const data = categories(series);
  const label = { fontSize: 11, interval: 0, rotate: data.length > 6 ? 30 : 0 };
  return { ...named(x), nameGap: data.length > 6 ? 44 : 28, type: 'category' as const, data, axisLabel: label };
}

const categories = (series: readonly Series[]) => [
  ...new Set(series.flatMap(({ points }) => points.map(({ x }) => String(x)))),
];

const named = ({ label }: Axis) => ({
  name: label,
  nameLocation: 'middle' as const,
  nameTextStyle: { fontSize: 11 },
});

function valueAxis(axis: Axis) {
  const { log = false, format } = axis;
  return {
    ...named(axis),
    type: log ? ('log' as const) : ('value' as const),
    axisLine: { show: true },
    axisLabel: { fontSize: 11, hideOverlap: true, ...(format === undefined ? {} : { formatter: format }) },
    splitLine: { lineStyle: { color: '#e5e5e5' } },
  };
}

function drawn(panel: Panel, { name, points }: Series, index: number, names: readonly string[]) {
  const color = colours[names.indexOf(name) % colours.length] ?? '#000000';
  const place = { xAxisIndex: index, yAxisIndex: index };
  const bars = panel.kind === 'bars' || panel.kind === 'stacked';
  const type = bars ? 'bar' : panel.kind === 'lines' ? 'line' : 'scatter';
  const limits =
    panel.series[0]?.name !== name
      ? []
      : (panel.limits ?? []).map(({ name: text, y }) => ({
          yAxis: y,
          label: { formatter: text, position: 'insideEndTop' as const, fontSize: 10, color: '#444444' },
        }));
  const whiskers = points.filter(({ low, high }) => low !== undefined && high !== undefined);
  const order = panel.series.findIndex((series) => series.name === name);
  return [
    {
      name,
      type,
      ...place,
      data: points.map(({ x, y }) => [bars ? String(x) : x, y]),
      itemStyle: { color },
      ...(panel.kind === 'stacked' ? { stack: `panel ${index}` } : {}),
      ...(panel.kind === 'lines' ? { lineStyle: { color, width: 2 }, symbol: 'circle', symbolSize: 6 } : {}),
      ...(panel.kind === 'points' ? { symbolSize: 6 } : {}),
      ...(bars ? { barMaxWidth: 40 } : {}),
      markLine: {
        silent: true,
        symbol: 'none',
        lineStyle: { color: '#444444', type: 'dashed' as const, width: 1 },
        data: limits,
      },
    },
    ...(whiskers.length === 0 || panel.kind === 'stacked'
      ? []
      : [
          {
            type: 'custom' as const,
            ...place,
            silent: true,
            z: 10,
            encode: { x: 0, y: [1, 2] },
            data: whiskers.map(({ x, low, high }) => [bars ? String(x) : x, low, high]),
            renderItem: whisker(bars ? { of: panel.series.length, order } : null, bars ? '#333333' : color),
          },
        ]),
  ];
}

/** A vertical line from low to high; among bars at the middle of its own. */
function whisker(
  among: { of: number; order: number } | null,
  stroke: string,
): echarts.CustomSeriesOption['renderItem'] {
  return (_params, api) => {
    const [x, lowY] = api.coord([api.value(0), api.value(1)]) as [number, number];
    const [, highY] = api.coord([api.value(0), api.value(2)]) as [number, number];
    const bars = among === null ? undefined : api.barLayout?.({ count: among.of, barMaxWidth: 40 });
    const at = x + (bars?.[among?.order ?? 0]?.offsetCenter ?? 0);
    const line = (x1: number, y1: number, x2: number, y2: number) => ({
      type: 'line' as const,
      shape: { x1, y1, x2, y2 },
      style: { stroke, lineWidth: 1 },
    });
    return {
      type: 'group',
      children: [line(at, lowY, at, highY), line(at - 3, lowY, at + 3, lowY), line(at - 3, highY, at + 3, highY)],
    };
  };
}
