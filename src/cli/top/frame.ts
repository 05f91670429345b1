import { outlook } from '../../migration/progress.ts';
import { formatBytes, formatMs, formatTime } from '../table.ts';
import { fitColumns } from './columns.ts';
import { isUnderWay, type Overview, type TopMove, type TopNode } from './overview.ts';

export const nodeOrders = ['name', 'load', 'containers'] as const;
export type NodeOrder = (typeof nodeOrders)[number];

/** What the keys have set. */
export interface View {
  columns: number;
  rows: number;
  order: NodeOrder;
  /** Nodes above the window. */
  scroll: number;
  paused: boolean;
  help: boolean;
  intervalMs: number;
  /** Why the picture is old, or null. */
  trouble: string | null;
}

/** One line of the picture. */
export interface Line {
  text: string;
  style: 'plain' | 'title' | 'heading' | 'alarm';
}

const helpLines = [
  'q, Ctrl-C    leave                      space   hold the picture, and go on',
  'h, ?         this help                  + -     look less or more often',
  's            order of nodes: name, load, containers',
  'up, down     one node                   PgUp, PgDn, Home, End   a page, the ends',
  '',
  'LOAD is the load average of a minute by the processors of the node; DONE is of the',
  'round or the freeze that is under way; ETA the time until the freeze, or of it.',
];

/** The picture: at most `rows` lines of at most `columns` characters. */
export function frame(overview: Overview, view: View): Line[] {
  const { columns, rows } = view;
  const body = view.help ? plain(helpLines) : tables(overview, view, Math.max(0, rows - 4));
  const lines = [...summary(overview, view), { text: '', style: 'plain' as const }, ...body].slice(
    0,
    Math.max(0, rows - 1),
  );
  while (lines.length < rows - 1) lines.push({ text: '', style: 'plain' });
  return [...lines, footer(view)].slice(-rows).map((line) => ({ ...line, text: line.text.slice(0, columns) }));
}

/** Both tables in full, for a file or a pipe. */
export function printout(overview: Overview): string {
  const view: View = {
    ...{ columns: Number.MAX_SAFE_INTEGER, rows: Number.MAX_SAFE_INTEGER, order: 'name', scroll: 0 },
    ...{ paused: false, help: false, intervalMs: 0, trouble: null },
  };
  const blank: Line = { text: '', style: 'plain' };
  const lines = [...summary(overview, view), blank, ...tables(overview, view, Number.MAX_SAFE_INTEGER)];
  return `${lines.map(({ text }) => text.trimEnd()).join('\n')}\n`;
}

/** How many nodes the window can be moved by. */
export function mostScroll(overview: Overview, view: View): number {
  const { nodeRows } = shares(overview, Math.max(0, view.rows - 4));
  return Math.max(0, overview.nodes.length - nodeRows);
}

function summary({ nodes, moves, at }: Overview, view: View): Line[] {
  const under = moves.filter(isUnderWay);
  const queued = moves.filter(({ record }) => record.state === 'queued').length;
  const rate = under.reduce(
    (sum, { progress }) => sum + (progress === null ? 0 : (outlook(progress).bytesPerSecond ?? 0)),
    0,
  );
  const down = nodes.filter(({ agentAlive }) => !agentAlive).length;
  const containers = nodes.reduce((sum, node) => sum + node.containers, 0);
  const ended = (state: string) => moves.filter(({ record }) => record.state === state).length;
  const failed = ['rolled-back', 'lost', 'needs-operator'].reduce((sum, state) => sum + ended(state), 0);
  const counts = `of the last ${moves.length}: ${ended('completed')} completed, ${failed} failed`;
  return [
    {
      text: `rankshift  ${formatTime(at).replace('T', ' ')}  ${nodes.length} nodes${down > 0 ? `, ${down} down` : ''}, ${containers} containers`,
      style: 'title',
    },
    view.trouble === null
      ? {
          text: `moves: ${under.length} under way, ${queued} queued, ${formatBytes(Math.round(rate))}/s; ${counts}`,
          style: 'plain',
        }
      : { text: view.trouble, style: 'alarm' },
  ];
}

/** Moves take at most half of the room unless there are few nodes; each table has a heading, and a line between. */
function shares({ nodes, moves }: Overview, room: number): { moveRows: number; nodeRows: number } {
  const wanted = moves.length;
  const forLines = Math.max(0, room - 3);
  const nodeRows = Math.min(nodes.length, Math.max(Math.ceil(forLines / 2), forLines - wanted));
  return { moveRows: Math.min(wanted, forLines - nodeRows), nodeRows };
}

function tables(overview: Overview, view: View, room: number): Line[] {
  const { moveRows, nodeRows } = shares(overview, room);
  const ordered = orderNodes(overview.nodes, view.order);
  const from = Math.min(view.scroll, Math.max(0, ordered.length - nodeRows));
  // Those that are on their way first, then what waits, then what has ended, the last first.
  const rank = (move: TopMove) => (isUnderWay(move) ? 0 : move.record.state === 'queued' ? 1 : 2);
  const moves = overview.moves.toSorted((a, b) => rank(a) - rank(b));
  return [
    ...asTable(
      ['NODE', 'AGENT', 'SLURM', 'CONTAINERS', 'LOAD', 'MEMORY', 'OUT', 'IN'],
      ordered.slice(from, from + nodeRows).map((node) => nodeRow(node, overview)),
      view.columns,
    ),
    ...plain(['']),
    ...asTable(
      ['ID', 'CONTAINER', 'BY', 'FROM', 'TO', 'PHASE', 'DONE', 'RATE', 'ETA'],
      moves.slice(0, moveRows).map((move) => moveRow(move, overview.at)),
      view.columns,
    ),
  ].slice(0, room);
}

function orderNodes(nodes: readonly TopNode[], order: NodeOrder): TopNode[] {
  const relative = ({ load, cpus }: TopNode) => (load === null || cpus === null ? -1 : load / Math.max(1, cpus));
  if (order === 'load') return nodes.toSorted((a, b) => relative(b) - relative(a));
  if (order === 'containers') return nodes.toSorted((a, b) => b.containers - a.containers);
  return nodes.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

function nodeRow(node: TopNode, { moves }: Overview): string[] {
  const under = moves.filter(isUnderWay);
  const { agentAlive, load, cpus, memoryTotalBytes } = node;
  return [
    node.name,
    agentAlive ? (node.criuOk ? 'up' : 'no CRIU') : 'down',
    node.slurmStates.join('+') || '-',
    String(node.containers),
    agentAlive && load !== null && cpus !== null ? `${load.toFixed(2)}/${cpus}` : '-',
    agentAlive
      ? `${formatBytes(node.memoryAvailableBytes)}${memoryTotalBytes === null ? '' : ` of ${formatBytes(memoryTotalBytes)}`}`
      : '-',
    String(under.filter(({ record }) => record.source === node.name).length || '-'),
    String(under.filter(({ record }) => record.target === node.name).length || '-'),
  ];
}

function moveRow({ record, progress }: TopMove, at: number): string[] {
  const { state } = record;
  const head = [
    record.id,
    record.container,
    record.requestedBy.name,
    record.source ?? '-',
    record.target ?? record.request.to ?? '-',
  ];
  if (state === 'queued')
    return [...head, record.waitingFor === null ? state : `queued: ${record.waitingFor}`, '-', '-', '-'];
  if (progress === null) return [...head, state, ...ended(record, at)];
  const { leftMs, bytesPerSecond } = outlook(progress);
  const { sentBytes, ofBytes } = progress;
  const share = ofBytes === null || ofBytes === 0 ? '' : ` ${Math.min(100, Math.floor((100 * sentBytes) / ofBytes))}%`;
  return [
    ...head,
    progress.phase === 'freeze' ? 'frozen' : `${state} ${progress.round}`,
    `${formatBytes(sentBytes)}${share}`,
    bytesPerSecond === null ? '-' : `${formatBytes(Math.round(bytesPerSecond))}/s`,
    leftMs === null ? '-' : `${Math.ceil(leftMs / 1000)} s`,
  ];
}

/** Of a move without figures: how long it has been, or how long it took. */
function ended({ result, totalMs, endedAt, createdAt }: TopMove['record'], at: number): string[] {
  if (endedAt === null) return ['-', '-', '-'];
  const bytes = result?.bytes;
  return [
    bytes == null ? '-' : formatBytes(bytes.pages + bytes.upper + bytes.metadata),
    totalMs === null ? '-' : `in ${formatMs(totalMs)}`,
    `${age(at - (endedAt ?? createdAt))} ago`,
  ];
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

function asTable(header: string[], rows: string[][], columns: number): Line[] {
  const [heading = '', ...lines] = fitColumns([header, ...rows], columns);
  return [{ text: heading, style: 'heading' }, ...plain(lines)];
}

const plain = (texts: readonly string[]): Line[] => texts.map((text) => ({ text, style: 'plain' as const }));

function footer({ paused, order, intervalMs }: View): Line {
  const every = `every ${(intervalMs / 1000).toFixed(1)} s`;
  return {
    text: `${paused ? 'HELD  ' : ''}q leave  h help  space hold  s order: ${order}  + - ${every}`,
    style: 'heading',
  };
}
