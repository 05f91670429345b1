import type { GroupPrediction } from '../migration/predict-group.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { escapeText, type GanttRow, gantt } from './gantt.ts';

/** Told apart by colour-blind eyes too (Okabe and Ito 2008). */
const colours: Record<string, string> = {
  queued: '#dddddd',
  preflight: '#F0E442',
  preparing: '#56B4E9',
  copying: '#0072B2',
  switching: '#E69F00',
  finishing: '#009E73',
  stopped: '#D55E00',
  stall: '#CC79A7',
  source: '#0072B2',
  target: '#E69F00',
};

const style = `body{font:14px/1.4 sans-serif;margin:2em auto;max-width:1080px;padding:0 1em;color:#222}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse}
th,td{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
th:first-child,td:first-child,td.text,th.text{text-align:left}.legend span{display:inline-block;margin-right:1em}
.legend i{display:inline-block;width:1em;height:.8em;margin-right:.3em}.scroll{overflow-x:auto}svg text{font:11px sans-serif}`;

/** One file for a browser, without anything from elsewhere: phases as bars, bytes, stalls, predicted beside measured. */
export function reportHtml(
  title: string,
  about: readonly string[],
  records: readonly MigrationRecord[],
  prediction: GroupPrediction | null = null,
): string {
  const switched = records.filter(({ result }) => (result?.timeline.length ?? 0) > 0);
  return [
    '<!DOCTYPE html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeText(title)}</title><style>${style}</style></head><body>`,
    `<h1>${escapeText(title)}</h1>`,
    ...about.map((line) => `<p>${escapeText(line)}</p>`),
    '<h2>Phases</h2>',
    legend(['queued', 'preflight', 'preparing', 'copying', 'switching', 'finishing', 'stopped', 'stall']),
    gantt(records.map(phaseRow)),
    ...(prediction === null
      ? []
      : ['<h2>As their plans predicted it</h2>', legend(['copying', 'stopped']), gantt(predictedRows(prediction))]),
    '<h2>Predicted and measured</h2>',
    `<div class="scroll">${figures(records)}</div>`,
    ...records.flatMap(({ id, container, error }) =>
      error === null ? [] : [`<p>${escapeText(`${container} (migration ${id}): ${error.message}`)}</p>`],
    ),
    '<h2>Bytes</h2>',
    `<div class="scroll">${bytes(records)}</div>`,
    ...switched.flatMap((record) => [
      `<h2>${escapeText(`Switch of ${record.container} (migration ${record.id}), from the freeze`)}</h2>`,
      gantt(switchRows(record)),
    ]),
    '</body></html>',
    '',
  ].join('\n');
}

function legend(names: readonly string[]): string {
  const entry = (name: string) => `<span><i style="background:${colours[name]}"></i>${escapeText(name)}</span>`;
  return `<p class="legend">${names.map(entry).join('')}</p>`;
}

function phaseRow(record: MigrationRecord): GanttRow {
  const { container, source, target, phases, result, createdAt, endedAt, state } = record;
  const last = endedAt ?? Math.max(createdAt, ...phases.map(({ at, ms }) => at + (ms ?? 0)));
  const bars = phases.map(({ name, at, ms }) => ({
    from: at,
    to: at + (ms ?? Math.max(0, last - at)),
    colour: colours[name] ?? '#999999',
    title: `${name}, ${milliseconds(ms)}`,
  }));
  const frozenAt = result?.timeline.find(({ name }) => name === 'frozen')?.at;
  const thin = (name: 'stopped' | 'stall', ms: number | null | undefined, at: number) =>
    frozenAt === undefined || ms == null
      ? []
      : [
          {
            ...{
              from: frozenAt,
              to: frozenAt + ms,
              colour: colours[name] ?? '',
              title: `${name}, ${milliseconds(ms)}`,
            },
            part: [at, at + 0.3] as const,
          },
        ];
  return {
    label: `${container} ${source ?? '?'} → ${target ?? '?'}${state === 'completed' ? '' : ` (${state})`}`,
    bars: [...bars, ...thin('stopped', result?.downtimeMs, 0.1), ...thin('stall', result?.stallMs, 0.6)],
  };
}

/** From the request of the first; what comes before a copy is not drawn. */
function predictedRows({ moves }: GroupPrediction): GanttRow[] {
  const bar = (name: 'copying' | 'stopped', from: number, to: number) => ({
    ...{ from, to, colour: colours[name] ?? '', title: `${name}, ${milliseconds(to - from)}` },
  });
  const begin = { from: 0, to: 0, colour: '#dddddd', title: 'request' };
  return moves.map(({ id, copyFromMs, stopFromMs, endMs }) => ({
    label: id,
    bars: [begin, bar('copying', copyFromMs, stopFromMs), bar('stopped', stopFromMs, endMs)],
  }));
}

function switchRows({ result, source }: MigrationRecord): GanttRow[] {
  const entries = result?.timeline ?? [];
  const zero = entries.find(({ name }) => name === 'frozen')?.at ?? entries[0]?.at ?? 0;
  // What came before belongs to the copy.
  return entries
    .filter(({ at, ms }) => at + (ms ?? 0) >= zero)
    .map(({ name, node, at, ms }) => ({
      label: `${node}: ${name}${ms === undefined ? '' : `, ${milliseconds(ms)}`}`,
      bars: [
        {
          from: Math.max(0, at - zero),
          to: at - zero + (ms ?? 0),
          colour: colours[node === source ? 'source' : 'target'] ?? '',
          title: `${name}, ${milliseconds(ms ?? null)}`,
        },
      ],
    }));
}

function figures(records: readonly MigrationRecord[]): string {
  const header = ['CONTAINER', 'MOVE', 'STATE', 'STRATEGY', 'DOWNTIME', 'PREDICTED', 'STALL', 'TOTAL', 'PREDICTED'];
  const rows = records.map(({ container, source, target, state, plan, result, totalMs }) => [
    container,
    `${source ?? '?'} → ${target ?? '?'}`,
    state,
    plan?.strategy ?? '-',
    milliseconds(result?.downtimeMs),
    milliseconds(plan?.predicted?.downtimeMs),
    milliseconds(result?.stallMs),
    milliseconds(totalMs),
    milliseconds(plan?.predicted?.totalMs),
  ]);
  return table(header, rows);
}

function bytes(records: readonly MigrationRecord[]): string {
  const header = ['CONTAINER', 'PLANNED', 'PAGES', 'ON THE WIRE', 'ROUNDS', 'UPPER', 'METADATA', 'LEFT BEHIND'];
  const rows = records.map(({ container, plan, result }) => [
    container,
    mebibytes(plan?.memoryBytes),
    mebibytes(result?.bytes?.pages),
    mebibytes(result?.bytes?.wire),
    (result?.copy?.rounds ?? []).map((round) => mebibytes(round.bytes)).join(', ') || '-',
    mebibytes(result?.bytes?.upper),
    mebibytes(result?.bytes?.metadata),
    mebibytes(result?.leftBytes),
  ]);
  return table(header, rows);
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: 'th' | 'td') =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeText(cell)}</${tag}>`).join('')}</tr>`;
  return `<table><thead>${line(header, 'th')}</thead><tbody>${rows.map((row) => line(row, 'td')).join('')}</tbody></table>`;
}

const milliseconds = (ms: number | null | undefined) =>
  ms == null ? '-' : ms >= 10_000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
const mebibytes = (count: number | null | undefined) => (count == null ? '-' : `${(count / 2 ** 20).toFixed(1)} MiB`);
